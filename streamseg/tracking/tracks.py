"""The tracks that are alive: a table with a row per track, in order of birth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.masks import Crop
from streamseg.tracking import motion

__all__ = ["TrackTable"]

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]

_COLUMNS = np.dtype(
    [
        ("id", np.int64),
        ("hits", np.int64),
        ("class_id", np.int32),
        ("born", np.float64),
        ("seen", np.float64),
        ("state", np.float64, motion.STATE_SHAPE),
    ]
)


class TrackTable:
    """Columns of the living tracks, and the counter that gives out ids from 1.

    A track has id -1 until it is confirmed. Nothing is kept of a track that ended.
    """

    def __init__(self) -> None:
        self._rows = np.zeros(0, _COLUMNS)
        self.crops: list[Crop | None] = []
        """Each track's mask when last seen; None when it was too small to compare."""
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def id(self) -> NDArray[np.int64]:
        """(T,) ids, -1 where tentative."""
        return self._rows["id"]

    @property
    def class_id(self) -> NDArray[np.int32]:
        """(T,) class when last seen."""
        return self._rows["class_id"]

    @property
    def hits(self) -> NDArray[np.int64]:
        """(T,) frames it was seen in."""
        return self._rows["hits"]

    @property
    def born(self) -> Floats:
        """(T,) timestamp of the first frame, seconds."""
        return self._rows["born"]

    @property
    def seen(self) -> Floats:
        """(T,) timestamp of the last frame it was seen in, seconds."""
        return self._rows["seen"]

    @property
    def state(self) -> Floats:
        """(T, 5, 4) motion states."""
        return self._rows["state"]

    def keep(self, alive: NDArray[np.bool_]) -> None:
        """End every track that is not `alive` (T,)."""
        if alive.all():
            return
        self._rows = self._rows[alive]
        self.crops = [crop for crop, stays in zip(self.crops, alive, strict=True) if stays]

    def add(self, state: Floats, class_id: NDArray[np.int32], crops: list[Crop | None], now: float) -> None:
        """Begin tentative tracks in the given order."""
        born = np.zeros(len(state), _COLUMNS)
        born["id"], born["hits"], born["class_id"] = -1, 1, class_id
        born["born"], born["seen"], born["state"] = now, now, state
        self._rows = np.concatenate((self._rows, born))
        self.crops += crops

    def confirm(self, rows: Indices) -> None:
        """Give ids to tentative tracks, in order of birth."""
        rows = np.sort(rows)
        self._rows["id"][rows] = np.arange(self._next_id, self._next_id + len(rows))
        self._next_id += len(rows)
