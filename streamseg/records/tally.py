"""What a take amounts to: who was there when, for how long, and where.

Tested in tests/jobs/test_report.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamseg.records.block import FrameBlock

__all__ = ["HEAT_HW", "Stay", "TakeTally"]

HEAT_HW = 90, 160
"""Cells of the heat map, whatever the picture's size."""
MOST_STAYS = 200_000
"""Tracks that are remembered; of a longer record the first."""


@dataclass(slots=True)
class Stay:
    """One track."""

    track: int
    classes: dict[int, int] = field(default_factory=dict)
    """Frames by class id."""
    first: float = math.inf
    """Media seconds."""
    last: float = -math.inf
    best_score: float = -1.0
    best_index: int = 0
    """The frame in which it was surest."""
    best_box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def seconds(self) -> float:
        return self.last - self.first

    @property
    def class_id(self) -> int:
        """The one it had most."""
        return max(self.classes, key=lambda name: self.classes[name])


class TakeTally:
    """Adds up the blocks of one take, in order."""

    def __init__(self, classes: int) -> None:
        self.frames = 0
        self.first = math.inf
        self.last = -math.inf
        self.first_captured_ns = 0
        self.stays: dict[int, Stay] = {}
        self._classes = classes
        self._seconds: dict[int, tuple[int, NDArray[np.int64]]] = {}
        self._edges = np.zeros((HEAT_HW[0] + 1, HEAT_HW[1]), np.float64)

    def add(self, block: FrameBlock) -> None:
        """Take in a block with its masks."""
        if not self.frames:
            self.first, self.first_captured_ns = float(block.pts_seconds[0]), int(block.captured_ns[0])
        self.frames += len(block)
        self.last = float(block.pts_seconds[-1])
        self._count(block)
        self._warm(block)
        of_frame = np.repeat(np.arange(len(block)), np.diff(block.start))
        for track in np.unique(block.id[block.id >= 0]).tolist():
            self._extend(track, np.flatnonzero(block.id == track), of_frame, block)

    def _count(self, block: FrameBlock) -> None:
        second = np.floor(block.pts_seconds).astype(np.int64)
        of_instance = np.repeat(second, np.diff(block.start))
        for one in np.unique(second).tolist():
            frames, counts = self._seconds.get(one, (0, np.zeros(self._classes, np.int64)))
            more = np.bincount(block.class_id[of_instance == one], minlength=self._classes)
            self._seconds[one] = frames + int((second == one).sum()), counts + more

    def _warm(self, block: FrameBlock) -> None:
        """Where runs begin and end, each as a step up or down in a column of cells."""
        if block.runs is None:
            return
        of_frame = np.repeat(np.arange(len(block)), np.diff(block.start))
        sizes = np.repeat(block.size_hw[of_frame], np.diff(block.runs.start), axis=0)
        rows, columns = HEAT_HW
        x = block.runs.column * columns // np.maximum(sizes[:, 1], 1)
        y = np.rint(block.runs.row * rows / sizes[:, 0]).astype(np.int64)
        steps = np.where(np.arange(len(x)) % 2, -1.0, 1.0) / sizes[:, 1]
        self._edges += np.bincount(y * columns + x, steps, self._edges.size).reshape(self._edges.shape)

    def _extend(
        self, track: int, rows: NDArray[np.intp], of_frame: NDArray[np.intp], block: FrameBlock
    ) -> None:
        if track not in self.stays and len(self.stays) >= MOST_STAYS:
            return
        stay = self.stays.setdefault(track, Stay(track))
        pts = block.pts_seconds[of_frame[rows]]
        stay.first, stay.last = min(stay.first, float(pts[0])), max(stay.last, float(pts[-1]))
        for kind in block.class_id[rows].tolist():
            stay.classes[kind] = stay.classes.get(kind, 0) + 1
        best = rows[np.argmax(block.score[rows])]
        if block.score[best] > stay.best_score:
            x1, y1, x2, y2 = block.xyxy[best].tolist()
            stay.best_score, stay.best_box = float(block.score[best]), (x1, y1, x2, y2)
            stay.best_index = int(block.index[of_frame[best]])

    def over_time(self, most_bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(B + 1,) media seconds at which bins begin and end, and (B, classes) how many there were at once on
        average; NaN where there was no frame."""
        first, last = min(self._seconds, default=0), max(self._seconds, default=0)
        width = max(1, -(-(last + 1 - first) // most_bins))
        bins = -(-(last + 1 - first) // width)
        frames, counts = np.zeros(bins), np.zeros((bins, self._classes))
        for second, (seen, found) in self._seconds.items():
            frames[(second - first) // width] += seen
            counts[(second - first) // width] += found
        with np.errstate(invalid="ignore", divide="ignore"):
            return first + width * np.arange(bins + 1.0), counts / frames[:, None]

    def heat(self) -> NDArray[np.float64]:
        """HEAT_HW, how often something was in each cell; 1 = where it was most."""
        made = np.maximum(np.cumsum(self._edges, axis=0)[:-1], 0)
        return np.asarray(made / max(made.max(), 1e-12), np.float64)
