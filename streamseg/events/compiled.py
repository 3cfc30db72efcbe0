"""The rules of one source as arrays, for one size of frame. Tested in tests/events/test_watch.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamseg.events.config import RULE_KINDS, EventsConfig, Rule
from streamseg.events.crossings import Gates
from streamseg.events.episodes import Waits
from streamseg.events.ground import Plane, corners_from_sides
from streamseg.events.observation import At, Observation
from streamseg.events.pairs import PairRule
from streamseg.events.shapes import Columns, Point, polygon_columns, side_polygon

__all__ = ["Compiled", "Places", "rules_of_source"]

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]

_SPEED_SLACK = 0.9
"""An object stops being fast below this share of the limit."""


def rules_of_source(config: EventsConfig, source_id: str) -> EventsConfig:
    """Those of the rules that are for this source."""

    def of(rules: dict[str, Rule]) -> dict[str, Rule]:
        return {name: rule for name, rule in rules.items() if not rule.sources or source_id in rule.sources}

    return config.model_copy(update={kind: of(getattr(config, kind)) for kind in RULE_KINDS})


class Places:
    """Polygons, each asked of one part of an object."""

    def __init__(self, asked: Sequence[tuple[At, Sequence[Point]]], frame_hw: tuple[int, int]) -> None:
        self._count = len(asked)
        self._groups: list[tuple[At, list[int], Columns]] = []
        for at in dict.fromkeys(at for at, _ in asked):
            index = [k for k, (a, _) in enumerate(asked) if a == at]
            self._groups.append((at, index, polygon_columns([asked[k][1] for k in index], frame_hw)))

    def shares(self, seen: Observation) -> NDArray[np.float32]:
        """(n, P) float32: the share of each object in each polygon, in the order they were given in."""
        if len(self._groups) == 1:
            return seen.shares(self._groups[0][2], self._groups[0][0])
        made = np.zeros((len(seen), self._count), np.float32)
        for at, index, columns in self._groups:
            made[:, index] = seen.shares(columns, at)
        return made


class Compiled:
    """Everything about the rules that does not change from frame to frame.

    Rules of objects are columns in this order: zones, still, speeds; those of the picture: counts, occupancy.
    """

    def __init__(self, config: EventsConfig, classes: tuple[str, ...], frame_hw: tuple[int, int]) -> None:
        """`config` holds the source's own rules only."""
        self.frame_hw = frame_hw
        self._classes = classes
        height, width = frame_hw
        zones, lines = config.zones.values(), config.lines.values()
        still, speeds = config.still.values(), config.speeds.values()
        everywhere = ((-1.0, -1.0), (2.0, -1.0), (2.0, 2.0), (-1.0, 2.0))
        self.places = Places(
            [
                *((z.at, z.polygon) for z in zones),
                *(("centre", s.polygon or everywhere) for s in still),
                *(("foot", s.polygon) for s in speeds),
            ],
            frame_hw,
        )
        self.left = Places([(r.at, side_polygon(r.points)) for r in lines], frame_hw)
        self.enter = np.array([z.enter for z in zones], np.float32)
        self.leave = np.array([z.leave for z in zones], np.float32)
        # A point is inside or not: shares between the thresholds are of areas only.
        self.allowed = self._allowed([r.classes for r in (*zones, *still, *speeds)])
        self.patience = Waits(
            np.array(
                [*(z.enter_after for z in zones), *(r.after for r in still), *(r.after for r in speeds)],
                np.float64,
            ),
            np.array([*(z.leave_after for z in zones), *(0.5 for _ in still), *(s.after for s in speeds)]),
            np.array([*(z.loiter or np.inf for z in zones), *(np.inf for _ in (*still, *speeds))]),
        )
        self.move = np.array([s.move for s in still])
        self.reach_px = np.array([s.reach * width for s in still])
        self.owners = self._allowed([(s.unattended_by,) if s.unattended_by else () for s in still])
        self.has_owners = np.array([bool(s.unattended_by) for s in still])
        self.planes = [
            Plane(s.polygon, s.ground or corners_from_sides(s.metres or (1, 1, 1, 1)) or (), frame_hw)
            for s in speeds
        ]
        self.fast = np.array([s.over_kmh / 3.6 for s in speeds])
        self.slow = self.fast * _SPEED_SLACK
        self.line_at: list[At] = [r.at for r in lines]
        self.line_allowed = self._allowed([r.classes for r in lines])
        self.gates = Gates(
            [np.array(r.points) * [width, height] for r in lines],
            np.array([r.share for r in lines]),
            np.array([r.after for r in lines]),
        )
        self._compile_picture(config)
        self.pairs = [
            PairRule(self._ids(c.between[:1]), self._ids(c.between[1:]), c.within, 0.0, c.after)
            for c in config.contacts.values()
        ]
        self.pairs += [
            PairRule(self._ids((i.what,)), self._ids((i.of,)), None, i.share, i.after)
            for i in config.inside.values()
        ]

    def _compile_picture(self, config: EventsConfig) -> None:
        counts, occupancy = config.counts.values(), config.occupancy.values()
        names = list(config.zones)
        self.counted = np.array([names.index(c.zone) for c in counts], np.intp)
        self.least = np.array([c.least for c in counts], np.float64)
        self.over = np.array([*self.least, *(o.over for o in occupancy)], np.float64)
        self.under = np.array([*(self.least - 1), *(o.under for o in occupancy)], np.float64)
        after = np.array([*(c.after for c in counts), *(o.after for o in occupancy)], np.float64)
        self.picture_patience = Waits(after, after, np.full(len(after), np.inf))
        self.covered = [self._ids(o.classes) for o in occupancy]
        self.occupied = polygon_columns([o.polygon for o in occupancy], self.frame_hw)

    def _ids(self, names: tuple[str, ...] | None) -> frozenset[int]:
        kept = self._classes if names is None else names
        return frozenset(k for k, name in enumerate(self._classes) if name in kept)

    def _allowed(self, names: Sequence[tuple[str, ...] | None]) -> Bits:
        """(C, R) whether a class is one of each rule's."""
        made = np.zeros((len(self._classes), len(names)), np.bool_)
        for r, kept in enumerate(names):
            made[list(self._ids(kept)), r] = True
        return made
