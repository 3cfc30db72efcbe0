"""Two objects: how far apart their masks are, and how much of one lies in the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.events.episodes import Episodes, Turn, Waits
from streamseg.events.observation import Observation
from streamseg.events.roster import HandOver
from streamseg.events.rows import with_rows

__all__ = ["MOST_PAIRS", "PairRule", "PairStates", "PairTurn", "distance_px", "share_covered"]

MOST_PAIRS = 2048
"""Remembered at once; those that nothing goes on between are forgotten at once."""
_NEVER = np.float64(np.inf)

Bits = NDArray[np.bool_]
Floats = NDArray[np.float64]


class PairRule(NamedTuple):
    """What is asked of a pair: near, or one inside the other."""

    first: frozenset[int]
    """Classes of one object; of the one that is inside."""
    second: frozenset[int]
    within: float | None
    """Distance between masks, as a share of the picture's width; None: `share` is asked."""
    share: float
    """How much of the first mask the second covers."""
    patience: float
    """Seconds, to begin and to end."""


class PairTurn(NamedTuple):
    """A turn between two objects."""

    turn: Turn
    first: int
    """Ids of tracks, as they are now."""
    second: int


@dataclass(frozen=True, slots=True, eq=False)
class PairStates:
    """The state: P pairs of objects."""

    first: NDArray[np.int64]
    """(P,) id of a track."""
    second: NDArray[np.int64]
    last_seen: Floats
    """(P,) when both were seen last, seconds."""
    name: NDArray[np.int64]
    """(P,) both ids when the pair was first remembered, as one number: first · 2³¹ + second."""
    episodes: Episodes

    @classmethod
    def none(cls, rules: int) -> PairStates:
        ids = np.zeros(0, np.int64)
        return cls(ids, ids, np.zeros(0), ids, Episodes.none(0, rules))

    def step(
        self, seen: Observation, rules: list[PairRule], hand_overs: list[HandOver], forget_after: float
    ) -> tuple[PairStates, list[PairTurn]]:
        """The state after a frame, and what turned."""
        now = self._renamed(hand_overs)
        place = {track: k for k, track in enumerate(seen.id.tolist())}
        gone = np.flatnonzero(seen.now - now.last_seen > forget_after)
        lost = now._told(now.episodes.endings(gone, now.last_seen[gone]))
        near = _near(seen, rules)
        known = list(zip(now.first.tolist(), now.second.tolist(), strict=True))
        dead = set(gone.tolist())
        kept = [k for k in range(len(known)) if k not in dead]
        names = {known[k] for k in kept}
        fresh = [pair for pair in near if pair not in names][: MOST_PAIRS - len(kept)]
        now = now._resized(np.array(kept, np.intp), fresh, seen.now)
        both = zip(now.first.tolist(), now.second.tolist(), strict=True)
        rows = [k for k, (a, b) in enumerate(both) if a in place and b in place]
        if not rows:
            return now, lost
        row = np.array(rows, np.intp)
        pairs = [(place[int(now.first[k])], place[int(now.second[k])]) for k in rows]
        rise, fall = _evidence(seen, rules, pairs)
        now.last_seen[row] = seen.now
        patience = np.array([rule.patience for rule in rules])
        times = Waits(patience, patience, np.full(len(rules), _NEVER))
        episodes, turns = now.episodes.step(row, now.name[row], rise, fall, times, seen.now)
        told = now._told(turns)
        now = PairStates(now.first, now.second, now.last_seen, now.name, episodes)
        busy = np.flatnonzero((episodes.on | ~np.isnan(episodes.since)).any(axis=1))
        return now._resized(busy, [], seen.now), lost + told

    def endings(self, at: float) -> list[PairTurn]:
        """What ends if all is over `at` seconds; it stays as it is."""
        every = np.arange(len(self.first))
        return self._told(self.episodes.endings(every, np.full(len(every), at)))

    def _told(self, turns: list[Turn]) -> list[PairTurn]:
        return [PairTurn(t, int(self.first[t.row]), int(self.second[t.row])) for t in turns]

    def _renamed(self, hand_overs: list[HandOver]) -> PairStates:
        first, second = self.first.copy(), self.second.copy()
        for old, new, _ in hand_overs:
            first[first == old], second[second == old] = new, new
        return PairStates(first, second, self.last_seen, self.name, self.episodes)

    def _resized(self, kept: NDArray[np.intp], fresh: list[tuple[int, int]], now: float) -> PairStates:
        ids = np.array(fresh, np.int64).reshape(-1, 2)
        name = (ids[:, 0] << 31) + ids[:, 1]
        return PairStates(
            np.concatenate([self.first[kept], ids[:, 0]]),
            np.concatenate([self.second[kept], ids[:, 1]]),
            np.concatenate([self.last_seen[kept], np.full(len(ids), now)]),
            np.concatenate([self.name[kept], name]),
            with_rows(self.episodes, kept, Episodes.none(len(ids), self.episodes.on.shape[1])),
        )


def _near(seen: Observation, rules: list[PairRule]) -> list[tuple[int, int]]:
    """Ids of pairs of the frame whose boxes are near enough for some rule and of its classes."""
    found: set[tuple[int, int]] = set()
    gap = _box_gap(seen.xyxy)
    for rule in rules:
        reach = (rule.within or 0.0) * seen.frame_hw[1]
        one = np.isin(seen.class_id, list(rule.first))
        other = np.isin(seen.class_id, list(rule.second))
        fits = one[:, None] & other & (gap <= reach) & ~np.eye(len(seen), dtype=np.bool_)
        for a, b in np.argwhere(fits):
            pair = int(seen.id[a]), int(seen.id[b])
            both_ways = rule.within is not None and rule.first == rule.second
            found.add((min(pair), max(pair)) if both_ways else pair)
    return sorted(found)


def _box_gap(xyxy: Floats) -> Floats:
    """(n, n) pixels between boxes; 0 where they overlap."""
    low = np.maximum(xyxy[:, None, :2], xyxy[:, :2])
    high = np.minimum(xyxy[:, None, 2:], xyxy[:, 2:])
    return np.asarray(np.linalg.norm(np.maximum(low - high, 0), axis=2), np.float64)


def _evidence(seen: Observation, rules: list[PairRule], pairs: list[tuple[int, int]]) -> tuple[Bits, Bits]:
    """(n, R) for and against each rule, of pairs of rows of the frame."""
    rise = np.zeros((len(pairs), len(rules)), np.bool_)
    fall = np.ones_like(rise)
    for k, (a, b) in enumerate(pairs):
        classes = int(seen.class_id[a]), int(seen.class_id[b])
        distance = share = None
        for r, rule in enumerate(rules):
            if classes[0] not in rule.first or classes[1] not in rule.second:
                continue
            if rule.within is not None:
                distance = distance_px(seen, a, b) if distance is None else distance
                reach = max(rule.within * seen.frame_hw[1], 1.5)
                rise[k, r], fall[k, r] = distance <= reach, distance > 1.1 * reach + 1
            else:
                share = share_covered(seen, a, b) if share is None else share
                rise[k, r], fall[k, r] = share >= rule.share, share < 0.8 * rule.share
    return rise, fall


def distance_px(seen: Observation, a: int, b: int) -> float:
    """Pixels between the masks of two rows; 0 where they overlap or touch.

    Between ends of the columns that are read: of wide masks an upper bound, too large by at most the space
    between two of these columns.
    """
    strips = seen.strips
    bounds = np.append(strips.start, len(strips.x))
    ends = []
    for k in (a, b):
        part = slice(bounds[k], bounds[k + 1])
        ends.append((strips.x[part].astype(np.float64), strips.top[part], strips.bottom[part]))
    (xa, ta, ba), (xb, tb, bb) = ends
    across = np.maximum(np.abs(xa[:, None] - xb) - 1, 0)
    down = np.maximum(np.maximum(ta[:, None] - bb, tb - ba[:, None]), 0)
    return float(np.sqrt((across**2 + down**2).min()))


def share_covered(seen: Observation, a: int, b: int) -> float:
    """0…1, how much of the mask of row `a` lies in the mask of row `b`, pixel by pixel."""
    regions = seen.masks.regions
    (ax, ay), one = regions[seen.row[a]]
    (bx, by), other = regions[seen.row[b]]
    area = int(np.count_nonzero(one))
    if not area or not other.size:
        return 0.0
    x0, y0 = max(ax, bx), max(ay, by)
    x1, y1 = min(ax + one.shape[1], bx + other.shape[1]), min(ay + one.shape[0], by + other.shape[0])
    if x0 >= x1 or y0 >= y1:
        return 0.0
    shared = one[y0 - ay : y1 - ay, x0 - ax : x1 - ax] & other[y0 - by : y1 - by, x0 - bx : x1 - bx]
    return int(np.count_nonzero(shared)) / area
