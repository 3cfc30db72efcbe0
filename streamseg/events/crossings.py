"""Lines: which side an object is on, patiently, and where it went through.

An object is on a side when so much of it is there. It has crossed when it is on the other side, for the
rule's patience, and its way from where it last was on the first side leads through the line itself, not past
an end. A mask that flickers over the line and back within the patience changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.events.episodes import CLOCK_SLACK
from streamseg.events.shapes import crosses_gate

__all__ = ["Crossed", "Gates", "Sides"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Signs = NDArray[np.int8]


class Gates(NamedTuple):
    """L lines."""

    points: Sequence[Floats]
    """Of each line (n, 2) in frame pixels."""
    share: Floats
    """(L,) the share of an object, above one half, that makes it be on a side."""
    patience: Floats
    """(L,) seconds."""


class Crossed(NamedTuple):
    """An object went through a line."""

    row: int
    line: int
    forward: bool
    """From the left to the right of the line, looking from its first point to its last."""
    at: float
    """When the greater part of it was on the new side first."""
    unseen: bool
    """Whether it was out of sight when that happened."""


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """The state: L lines, S objects."""

    side: Signs
    """(S, L) 1 left, −1 right, 0 not known yet."""
    next: Signs
    """(S, L) the other side, on which it is for now; 0: none."""
    since: Floats
    """(S, L) since when; NaN where `next` is 0."""
    anchor: Floats
    """(S, L, 2) where it was when it was last on its side, frame pixels."""
    most: Signs
    """(S, L) the side of its greater part when last seen; 0: not seen yet."""
    turned: Floats
    """(S, L) when that changed last; NaN: never."""
    unseen: NDArray[np.bool_]
    """(S, L) whether it was out of sight when that changed."""

    @classmethod
    def none(cls, rows: int, lines: int) -> Sides:
        shape = rows, lines
        nothing = np.zeros(shape, np.int8)
        return cls(
            nothing,
            nothing.copy(),
            np.full(shape, np.nan),
            np.zeros((*shape, 2)),
            nothing.copy(),
            np.full(shape, np.nan),
            np.zeros(shape, np.bool_),
        )

    def step(
        self,
        rows: Rows,
        left: NDArray[np.float32],
        point: Floats,
        gap: NDArray[np.bool_],
        gates: Gates,
        now: float,
    ) -> tuple[Sides, list[Crossed]]:
        """The state at `now`, when of `rows` (n,) the share `left` (n, L) was to the left of each line.

        `point` (n, L, 2) is where each is, frame pixels; `gap` (n,) whether it was out of sight before.
        """
        side, most = self.side[rows], np.where(left >= 0.5, 1, -1).astype(np.int8)
        target = (left >= gates.share).astype(np.int8) - (left <= 1 - gates.share).astype(np.int8)
        turns = (most != self.most[rows]) & (self.most[rows] != 0)
        turned = np.where(turns, now, self.turned[rows])
        unseen = np.where(turns, gap[:, None], self.unseen[rows])
        against = (target != 0) & (target != side)
        goes_on = against & (target == self.next[rows])
        since = np.where(against, np.where(goes_on, self.since[rows], now), np.nan)
        flips = against & (now - since + CLOCK_SLACK >= gates.patience)
        crossed = []
        for k, line in np.argwhere(flips & (side != 0)):
            row, anchor = int(rows[k]), tuple(self.anchor[rows[k], line].tolist())
            if crosses_gate(gates.points[line], anchor, tuple(point[k, line].tolist())):
                at = float(turned[k, line]) if turned[k, line] <= since[k, line] else float(since[k, line])
                forward = bool(target[k, line] < 0)
                crossed.append(Crossed(row, int(line), forward, at, bool(unseen[k, line])))
        after = replace(self, **{column.name: getattr(self, column.name).copy() for column in fields(self)})
        after.side[rows] = np.where(flips, target, side)
        after.next[rows] = np.where(against & ~flips, target, 0)
        after.since[rows] = np.where(flips, np.nan, since)
        after.anchor[rows] = np.where(((target == side) | flips)[..., None], point, self.anchor[rows])
        after.most[rows], after.turned[rows], after.unseen[rows] = most, turned, unseen
        return after, crossed
