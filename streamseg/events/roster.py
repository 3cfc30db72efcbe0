"""The objects that rules remember: one row each, kept while a track is out of sight, and handed over when one
dies beside a birth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.events.episodes import CLOCK_SLACK
from streamseg.events.observation import Observation
from streamseg.events.rows import with_rows

__all__ = ["MOST_OBJECTS", "HandOver", "Memory", "Moves", "Roster"]

MOST_OBJECTS = 4096
"""Remembered at once; the longest out of sight go first."""
_MOST_GROWTH, _LEAST_SEEN = 2.0, 0.25
"""What is born may have this many times the size of the object that died: whoever comes out from behind
something shows little of itself at first."""
_HALF_SIZE = 2.0
"""Seconds after which half of a size that is not shown any more is forgotten: whoever goes behind something
shows little of itself at last."""
_DRIFT = 1.0
"""Sizes a second by which an object may have left its way while it was out of sight."""
_IDS_LATE = 0.25
"""Seconds by which an id may come after its object: a tracker waits until it is sure."""
_PACE = 0.5
"""Share of the last step in the running estimate of velocity."""

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


class Memory(NamedTuple):
    """How long and how far objects are remembered."""

    forget_after: float
    """Seconds without being seen after which an object is gone."""
    hand_over_after: float
    """Seconds within which a birth beside a death is the same object; 0: never."""
    hand_over_reach: float
    """How far from the way that it would have gone on, in its sizes (root of the box's area), and one
    more for every second."""


class HandOver(NamedTuple):
    """One object under two ids."""

    old: int
    new: int
    row: int


class Moves(NamedTuple):
    """How rows changed with a frame. What is kept by row is first asked for the endings of `lost`, then
    resized to `kept` and `born`, then stepped with `rows`."""

    lost: Rows
    """Rows, as they were, of objects that are gone."""
    lost_at: Floats
    """When they were last seen."""
    kept: Rows
    """Rows, as they were, that stay, in their new order."""
    born: int
    """Rows added after them."""
    rows: Rows
    """(n,) the row of each object of the frame, as they are now."""
    gap: NDArray[np.bool_]
    """(n,) whether it was out of sight in the frame before, and known."""
    hand_overs: list[HandOver]


@dataclass(frozen=True, slots=True, eq=False)
class Roster:
    """The state: S objects."""

    id: NDArray[np.int64]
    """(S,) id of the track that it is now."""
    class_id: NDArray[np.int32]
    last_seen: Floats
    """(S,) seconds."""
    point: Floats
    """(S, 2) centre when last seen, frame pixels."""
    velocity: Floats
    """(S, 2) pixels a second."""
    size: Floats
    """(S,) pixels, the greatest of late."""

    @classmethod
    def none(cls) -> Roster:
        empty = np.zeros(0)
        two = np.zeros((0, 2))
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int32), empty, two, two, empty)

    def __len__(self) -> int:
        return len(self.id)

    def step(self, seen: Observation, before: float, memory: Memory) -> tuple[Roster, Moves]:
        """The objects after a frame; `before` is the time of the frame before it."""
        stale = self.last_seen < seen.now - memory.forget_after
        row = self._known(seen.id)
        row = np.where(stale[row], -1, row) if len(self) else row
        taken = np.zeros(len(self), np.bool_)
        taken[row[row >= 0]] = True
        hand_overs = self._handed_over(seen, np.flatnonzero(row < 0), ~taken, memory)
        for k, old_row in hand_overs:
            row[k], taken[old_row] = old_row, True
        known = row >= 0
        gone = self.last_seen < seen.now - memory.forget_after - _IDS_LATE
        lost = np.flatnonzero(~taken & (gone | (stale & np.isin(self.id, seen.id))))
        spare = len(self) - len(lost) + int((~known).sum()) - MOST_OBJECTS
        if spare > 0:
            unseen = np.setdiff1d(np.flatnonzero(~taken), lost)
            oldest = unseen[np.argsort(self.last_seen[unseen], kind="stable")[:spare]]
            lost = np.sort(np.concatenate([lost, oldest]))
        kept = np.delete(np.arange(len(self)), lost)
        place = np.full(len(self) + 1, -1, np.intp)
        place[kept] = np.arange(len(kept))
        rows = np.where(known, place[row], 0)
        rows[~known] = len(kept) + np.arange(int((~known).sum()))
        gap = known & (self.last_seen[np.where(known, row, 0)] < before) if len(self) else known
        named = [HandOver(int(self.id[r]), int(seen.id[k]), int(rows[k])) for k, r in hand_overs]
        moves = Moves(lost, self.last_seen[lost], kept, int((~known).sum()), rows, gap, named)
        return self._after(seen, moves, known), moves

    def _known(self, ids: NDArray[np.int64]) -> Rows:
        """(n,) the row of each id; −1 where there is none."""
        if not len(self):
            return np.full(len(ids), -1, np.intp)
        order = np.argsort(self.id, kind="stable")
        place = np.minimum(np.searchsorted(self.id[order], ids), len(self) - 1)
        found = order[place]
        return np.where(self.id[found] == ids, found, -1)

    def _handed_over(
        self, seen: Observation, births: Rows, unseen: NDArray[np.bool_], memory: Memory
    ) -> list[tuple[int, int]]:
        """Rows of `seen` that are born where an object of ours should be, and that object's row; nearest
        first, each once."""
        dead = np.flatnonzero(unseen & (seen.now - self.last_seen <= memory.hand_over_after + _IDS_LATE))
        if not (len(births) and len(dead)) or memory.hand_over_after <= 0:
            return []
        away = seen.now - self.last_seen[dead]
        end = self.point[dead] + self.velocity[dead] * away[:, None]
        way = _off_the_way(seen.centre[births], self.point[dead], end)
        ratio = seen.size[births][:, None] / self.size[dead]
        reach = memory.hand_over_reach + _DRIFT * away
        reach = reach * np.maximum(seen.size[births][:, None], self.size[dead])
        late = np.minimum(seen.age[births], _IDS_LATE)[:, None]
        fits = (way <= reach) & (ratio <= _MOST_GROWTH) & (ratio >= _LEAST_SEEN)
        fits &= away - late <= memory.hand_over_after + CLOCK_SLACK
        fits &= seen.class_id[births][:, None] == self.class_id[dead]
        pairs: list[tuple[int, int]] = []
        for k, d in sorted(np.argwhere(fits).tolist(), key=lambda p: (way[p[0], p[1]], p)):
            birth, row = int(births[k]), int(dead[d])
            if all(birth != b and row != r for b, r in pairs):
                pairs.append((birth, row))
        return pairs

    def _after(self, seen: Observation, moves: Moves, known: NDArray[np.bool_]) -> Roster:
        new = Roster(
            np.zeros(moves.born, np.int64),
            np.zeros(moves.born, np.int32),
            np.zeros(moves.born),
            np.zeros((moves.born, 2)),
            np.zeros((moves.born, 2)),
            np.zeros(moves.born),
        )
        grown = with_rows(self, moves.kept, new)
        rows, centre = moves.rows, seen.centre
        since = seen.now - grown.last_seen[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            step = (centre - grown.point[rows]) / since[:, None]
        step = np.where(known[:, None] & (since > 0)[:, None], step, 0.0)
        grown.velocity[rows] += _PACE * (step - grown.velocity[rows])
        grown.id[rows], grown.class_id[rows] = seen.id, seen.class_id
        remembered = grown.size[rows] * 0.5 ** (np.where(known, since, 0.0) / _HALF_SIZE)
        grown.size[rows] = np.maximum(seen.size, remembered)
        grown.last_seen[rows], grown.point[rows] = seen.now, centre
        return grown


def _off_the_way(point: Floats, start: Floats, end: Floats) -> Floats:
    """(n, m) pixels between each of n points and each of m ways, straight from `start` to `end`."""
    way = end - start
    from_start = point[:, None] - start
    along = (from_start * way).sum(axis=2) / np.maximum((way * way).sum(axis=1), 1e-9)
    nearest = np.clip(along, 0, 1)[..., None] * way
    return np.asarray(np.linalg.norm(from_start - nearest, axis=2), np.float64)
