"""The rules of one source at work: frames in, events out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.events.compiled import Compiled, rules_of_source
from streamseg.events.config import EventsConfig
from streamseg.events.crossings import Crossed, Sides
from streamseg.events.episodes import Episodes, Turn
from streamseg.events.ground import Pace
from streamseg.events.observation import Observation, observe
from streamseg.events.occupancy import covered_shares
from streamseg.events.resting import Resting
from streamseg.events.roster import Memory, Moves
from streamseg.events.rows import with_rows
from streamseg.events.state import WatchState, packed, same_rules, transferred, unpacked
from streamseg.events.teller import Teller
from streamseg.structures import Event, Frame, Instances, Tracks

__all__ = ["Watch"]

Floats = NDArray[np.float64]

_ONLY_ROW = np.zeros(1, np.intp)
_NO_NAME = np.zeros(1, np.int64)


class Watch:
    """The rules of one source. Used by one thread; what it remembers is bounded."""

    def __init__(
        self, config: EventsConfig, source_id: str, class_names: tuple[str, ...], life: str = ""
    ) -> None:
        """Of `config` only the rules for this source count; `class_names` are the engine's. `life` tells one
        run of a camera from the next, whose media time and tracks begin anew: it goes into ids of events."""
        self.config = rules_of_source(config, source_id)
        self.state = WatchState.none(self.config)
        self.rejected_frames = 0
        """Frames whose time ran backwards or was not finite."""
        self._source_id, self._life = source_id, life
        self._class_names = class_names
        self._compiled: Compiled | None = None

    def update(self, frame: Frame, instances: Instances, tracks: Tracks) -> tuple[Event, ...]:
        """What this frame makes known, in order. A frame from the past changes nothing."""
        now = frame.pts_seconds
        if not math.isfinite(now) or now < self.state.now:
            self.rejected_frames += 1
            return ()
        rules = self.compiled(instances.masks.frame_hw)
        names = self._class_names
        teller = Teller(self.config, self._source_id, names, frame, self.state.tallies, life=self._life)
        seen = observe(instances, tracks, now)
        self.state = _stepped(self.state, rules, self.config, seen, instances, teller)
        return tuple(teller.events)

    def compiled(self, frame_hw: tuple[int, int]) -> Compiled:
        """The rules for frames of this size."""
        if self._compiled is None or self._compiled.frame_hw != frame_hw:
            self._compiled = Compiled(self.config, self._class_names, frame_hw)
        return self._compiled

    def change(self, config: EventsConfig, frame: Frame) -> tuple[Event, ...]:
        """Use these rules from now on; what goes on under a rule that is gone, or is another now, ends.

        Rules that stay as they are go on as if nothing had happened.
        """
        new = rules_of_source(config, self._source_id)
        stays, state = same_rules(self.config, new), self.state
        names = self._class_names
        teller = Teller(self.config, self._source_id, names, frame, state.tallies, stays, self._life)
        every = np.arange(len(state.roster))
        teller.objects(state.objects.endings(every, np.full(len(every), state.now)), state.roster, state.pace)
        teller.pairs(state.pairs.endings(state.now), state.roster)
        teller.picture(state.picture.endings(_ONLY_ROW, np.full(1, state.now)), None)
        self.state = transferred(state, self.config, new)
        self.config, self._compiled = new, None
        return tuple(teller.events)

    def snapshot(self) -> dict[str, Any]:
        """All that is remembered, as JSON can hold it."""
        return {**packed(self.state, self.config), "life": self._life}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot; rules that it does not know, or knows otherwise, begin anew. Raises
        ConfigError for anything that is not a snapshot."""
        self.state = unpacked(snapshot, self.config)
        self._life = str(snapshot.get("life", ""))


def _stepped(
    state: WatchState,
    rules: Compiled,
    config: EventsConfig,
    seen: Observation,
    instances: Instances,
    teller: Teller,
) -> WatchState:
    """The state after a frame; `teller` is told what happened."""
    memory = Memory(config.forget_after, config.hand_over_after, config.hand_over_reach)
    roster, moves = state.roster.step(seen, state.now, memory)
    teller.objects(state.objects.endings(moves.lost, moves.lost_at), state.roster, state.pace)
    objects, sides, resting, pace = _resized(state, moves)
    where = np.cumsum([len(config.zones), len(config.still)])
    zones, still, speeds = np.split(rules.places.shares(seen), where, axis=1)
    rise, fall = zones >= rules.enter, zones <= rules.leave
    if config.still:
        reach = rules.move * seen.size[:, None]
        resting, rests, elsewhere = resting.step(moves.rows, seen.centre, reach, seen.now)
        rise = np.hstack([rise, rests & (still > 0) & ~_attended(rules, seen)])
        fall = np.hstack([fall, elsewhere | (still <= 0)])
    if config.speeds:
        pace, speed = pace.step(moves.rows, _on_ground(rules, seen, speeds > 0), seen.now)
        fast = np.nan_to_num(speed, nan=-1.0)
        rise, fall = np.hstack([rise, fast >= rules.fast]), np.hstack([fall, fast < rules.slow])
    allowed = rules.allowed[seen.class_id]
    objects, turns = objects.step(
        moves.rows, seen.id, rise & allowed, fall & allowed, rules.patience, seen.now
    )
    teller.objects(turns, roster, pace)
    sides, crossed = _crossed(sides, rules, seen, moves)
    teller.crossings([c for c in crossed if rules.line_allowed[roster.class_id[c.row], c.line]], roster)
    pairs = state.pairs
    if rules.pairs:
        pairs, pair_turns = pairs.step(seen, rules.pairs, moves.hand_overs, config.forget_after)
        teller.pairs(pair_turns, roster)
    picture, picture_turns, values = _picture(state.picture, rules, objects, seen.now, instances)
    teller.picture(picture_turns, values)
    over = state.hand_overs + len(moves.hand_overs)
    return WatchState(
        seen.now, roster, objects, sides, resting, pace, picture, pairs, dict(teller.tallies), over
    )


def _resized(state: WatchState, moves: Moves) -> tuple[Episodes, Sides, Resting, Pace]:
    """The states of objects with rows for those that there are now."""
    kept, born = moves.kept, moves.born
    if not born and len(kept) == len(state.roster):
        return state.objects, state.sides, state.resting, state.pace
    return (
        with_rows(state.objects, kept, Episodes.none(born, state.objects.on.shape[1])),
        with_rows(state.sides, kept, Sides.none(born, state.sides.side.shape[1])),
        with_rows(state.resting, kept, Resting.none(born, state.resting.away.shape[1])),
        with_rows(state.pace, kept, Pace.none(born, state.pace.top.shape[1])),
    )


def _on_ground(rules: Compiled, seen: Observation, there: NDArray[np.bool_]) -> Floats:
    """(n, P, 2) metres on each plane; NaN for objects that are not in its polygon."""
    place = np.full((len(seen), len(rules.planes), 2), np.nan)
    for p, plane in enumerate(rules.planes):
        place[there[:, p], p] = plane.metres(seen.foot[there[:, p]])
    return place


def _attended(rules: Compiled, seen: Observation) -> NDArray[np.bool_]:
    """(n, K) whether an owner is near, for each rule about still objects."""
    made = np.zeros((len(seen), len(rules.move)), np.bool_)
    if not rules.has_owners.any():
        return made
    centre = seen.centre
    apart = np.linalg.norm(centre[:, None] - centre, axis=2)
    np.fill_diagonal(apart, np.inf)
    for k in np.flatnonzero(rules.has_owners):
        owner = rules.owners[seen.class_id, k]
        made[:, k] = (apart[:, owner] <= rules.reach_px[k]).any(axis=1)
    return made


def _crossed(sides: Sides, rules: Compiled, seen: Observation, moves: Moves) -> tuple[Sides, list[Crossed]]:
    if not rules.line_at or not len(seen):
        return sides, []
    left = rules.left.shares(seen)
    point = np.stack([seen.point(at) for at in rules.line_at], axis=1)
    return sides.step(moves.rows, left, point, moves.gap, rules.gates, seen.now)


def _picture(
    state: Episodes, rules: Compiled, objects: Episodes, now: float, instances: Instances
) -> tuple[Episodes, list[Turn], Floats]:
    """Rules about the whole picture; and their values, (C + O,)."""
    if not len(rules.over):
        return state, [], rules.over
    inside = objects.on.sum(axis=0)[rules.counted].astype(np.float64)
    value = np.concatenate([inside, _covered(rules, instances)])
    rise, fall = (value >= rules.over)[None], (value <= rules.under)[None]
    state, turns = state.step(_ONLY_ROW, _NO_NAME, rise, fall, rules.picture_patience, now)
    return state, turns, value


def _covered(rules: Compiled, instances: Instances) -> Floats:
    """(O,) how much of each zone is covered."""
    made = np.zeros(len(rules.covered))
    for classes in set(rules.covered):
        kept = [k for k, c in enumerate(instances.class_id.tolist()) if c in classes]
        runs = [instances.pixels.runs[k] for k in kept]
        shares = covered_shares(runs, rules.occupied, rules.frame_hw)
        of = [o for o, wanted in enumerate(rules.covered) if wanted == classes]
        made[of] = shares[of]
    return made
