"""The tracks that are alive: a table with a row per track, in order of birth.

Tested in tests/tracking/test_tracker.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.tracking import motion
from streamseg.tracking.detections import Detections, Outline

__all__ = ["COLUMNS", "TrackTable"]

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]

_ROW = np.dtype(
    [
        ("id", np.int64),
        ("evidence", np.float64),
        ("class_id", np.int32),
        ("class_lead", np.float64),
        ("born", np.float64),
        ("seen", np.float64),
        ("state", np.float64, motion.STATE_SHAPE),
    ],
    align=True,
)
COLUMNS = tuple(name for name in _ROW.names or () if name != "state")
"""Of the table, one number for each track."""
_MOST_LEAD = 10.0
"""Of a class over the others, in scores: what was one thing for an hour can still turn out another."""


class TrackTable:
    """Columns of the living tracks, and the counter that gives out ids from 1.

    A track has id -1 until it is confirmed. Nothing is kept of a track that ended.
    """

    def __init__(self) -> None:
        self.rows = np.zeros(0, _ROW)
        """(T,) everything but the masks."""
        self.outlines: list[Outline | None] = []
        """Each track's mask when it was last seen; None where too small to compare."""
        self.next_id = 1
        """What the next track that is confirmed will be called."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def id(self) -> NDArray[np.int64]:
        """(T,) ids, -1 where tentative."""
        return self.rows["id"]

    @property
    def evidence(self) -> Floats:
        """(T,) scores of the moments at which it was seen, summed up."""
        return self.rows["evidence"]

    @property
    def class_id(self) -> NDArray[np.int32]:
        """(T,) class by vote."""
        return self.rows["class_id"]

    @property
    def born(self) -> Floats:
        """(T,) timestamp of the first frame, seconds."""
        return self.rows["born"]

    @property
    def seen(self) -> Floats:
        """(T,) timestamp of the last frame it was seen in, seconds."""
        return self.rows["seen"]

    @property
    def state(self) -> Floats:
        """(T, 5, 4) motion states."""
        return self.rows["state"]

    def resize(self, count: int) -> None:
        """Make room for `count` tracks, all blank."""
        self.rows, self.outlines = np.zeros(count, _ROW), [None] * count

    def keep(self, alive: NDArray[np.bool_]) -> None:
        """End every track that is not `alive` (T,)."""
        if not alive.all():
            self.rows = self.rows[alive]
            self.outlines = [self.outlines[row] for row in np.flatnonzero(alive).tolist()]

    def begin(self, found: Detections, which: Indices, now: float, pace_seconds: float) -> Indices:
        """Begin a tentative track for each detection at `which`, in that order; their rows."""
        if not len(which):
            return which
        born = np.zeros(len(which), _ROW)
        born["id"], born["class_id"] = -1, found.class_id[which]
        born["evidence"] = born["class_lead"] = found.score[which]
        born["born"] = born["seen"] = now
        born["state"] = motion.initiate(found.measured[which], pace_seconds)
        self.rows = np.concatenate((self.rows, born))
        self.outlines += [found.outlines[k] for k in which.tolist()]
        return np.arange(len(self) - len(which), len(self))

    def see(
        self, rows: Indices, found: Detections, which: Indices, measured: Floats, now: float, weight: float
    ) -> None:
        """Continue the tracks at `rows` with the detections at `which`, whose whole boxes are `measured`
        (n, 4: cx, cy, w, h); their scores count `weight` times as evidence."""
        self.state[rows] = motion.correct(self.state[rows], measured)
        # A second look at the same moment is no further evidence.
        score = np.where(self.seen[rows] < now, found.score[which], 0.0)
        self.evidence[rows] += weight * score
        self.seen[rows] = now
        self._vote(rows, found.class_id[which], score)
        for row, k in zip(rows.tolist(), which.tolist(), strict=True):
            self.outlines[row] = found.outlines[k]

    def _vote(self, rows: Indices, class_id: NDArray[np.int32], score: Floats) -> None:
        """Each detection votes with its score: the lead of a track's class grows, or shrinks until another
        takes over (Boyer, Moore, "MJRTY", 1991, with weights), so that one number stands for all votes."""
        same = self.class_id[rows] == class_id
        lead = self.rows["class_lead"][rows] + np.where(same, score, -score)
        self.class_id[rows] = np.where(lead < 0, class_id, self.class_id[rows])
        self.rows["class_lead"][rows] = np.minimum(np.abs(lead), _MOST_LEAD)

    def confirm(self, rows: Indices) -> None:
        """Give ids to the tentative tracks at `rows`, in that order."""
        self.id[rows] = np.arange(self.next_id, self.next_id + len(rows))
        self.next_id += len(rows)
