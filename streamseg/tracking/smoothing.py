"""Steadier masks: each is blended with that of its track a moment ago, moved and scaled as the track went.

For looking at. Tracks, records and figures are better made of what the engine saw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks import BoxGrids
from streamseg.structures import Instances, Tracks

__all__ = ["MaskSmoother"]

Grid = NDArray[np.uint8]
Window = tuple[int, int, int, int]
_MARGIN = 1
"""Cells around a box that networks leave masks in."""
_FORGET = 10.0
"""Time constants after which nothing of a mask is left."""


@dataclass(frozen=True, slots=True, eq=False)
class _Past:
    """One track's smoothed mask when it was last seen."""

    soft: Grid
    origin_xy: tuple[int, int]
    """Cell of the grid at which `soft` begins."""
    scale_xy: tuple[float, float] | None
    """Frame pixels per cell; None: the grid lies over the box."""
    xyxy: NDArray[np.float32]
    """The track's filtered box, pixels."""
    seen: float


class MaskSmoother:
    """Blends the masks of one source's successive frames, by track, with a time constant.

    A mask weighs the less the longer ago it was, and the less it fits now: a shape that changes fast is
    not smeared. And it weighs in a cell the less the surer the cell is: what flickers are cells near one
    half, what the network is sure of has moved or changed. So a hole of doubt that comes for a frame is
    closed, and one that stays opens. What is kept is one crop for each track of the last moments.
    """

    def __init__(self, seconds: float = 0.1) -> None:
        """`seconds`: what the mask of so long ago weighs has fallen to a third. Raises ValueError."""
        if not 0 < seconds < math.inf:
            raise ValueError(f"MaskSmoother: seconds is {seconds!r}: must be a finite time above 0")
        self._seconds = seconds
        self._past: dict[int, _Past] = {}

    def smoothed(self, instances: Instances, tracks: Tracks, t_seconds: float) -> Instances:
        """`instances` with the masks of those that have an id smoothed; all else is as it was.

        `tracks` are theirs, row for row; `t_seconds` is the frame's media time. A frame without a finite time
        comes back as it is; one from the past begins anew.
        """
        if not math.isfinite(t_seconds):
            return instances
        oldest = t_seconds - _FORGET * self._seconds
        self._past = {k: past for k, past in self._past.items() if oldest <= past.seen <= t_seconds}
        soft = instances.masks.soft.copy()
        for row in np.flatnonzero(tracks.id > 0).tolist():
            self._blend(soft[row], row, instances, tracks, t_seconds)
        return replace(instances, masks=replace(instances.masks, soft=soft))

    def _blend(self, soft: Grid, row: int, instances: Instances, tracks: Tracks, now: float) -> None:
        """Smooth the grid `soft` of one instance in place, and keep it."""
        name, xyxy, grid = int(tracks.id[row]), tracks.xyxy[row], instances.masks.grid
        scale_xy = None if isinstance(grid, BoxGrids) else grid
        x0, y0, x1, y1 = _window(soft, None if scale_xy is None else instances.xyxy[row], scale_xy)
        crop, past = soft[y0:y1, x0:x1], self._past.get(name)
        if not crop.size:
            return
        if past is not None and past.scale_xy == scale_xy:
            moved = past.soft if scale_xy is None else _moved(past, xyxy, scale_xy, (x0, y0, x1, y1))
            if moved.shape == crop.shape:
                weight = math.exp((past.seen - now) / self._seconds) * _fit(moved, crop)
                _blend_unsure(moved, weight, crop)
        self._past[name] = _Past(crop.copy(), (x0, y0), scale_xy, xyxy.copy(), now)


def _window(soft: Grid, box: NDArray[np.float32] | None, scale_xy: tuple[float, float] | None) -> Window:
    """Columns and rows of the grid that the box and a margin take up; all of a grid over its box."""
    height, width = soft.shape
    if box is None or scale_xy is None or not np.isfinite(box).all():
        return 0, 0, width, height
    cells = box / (*scale_xy, *scale_xy)
    low = np.maximum(np.floor(cells[:2]) - _MARGIN, 0)
    high = np.clip(np.ceil(cells[2:]) + _MARGIN, 0, (width, height))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _moved(past: _Past, xyxy: NDArray[np.float32], scale_xy: tuple[float, float], window: Window) -> Grid:
    """`past.soft` where the track's box has gone since, cut to the window of cells."""
    then, now = past.xyxy.astype(np.float64), xyxy.astype(np.float64)
    growth = (now[2:] - now[:2]) / np.maximum(then[2:] - then[:2], 1.0)
    # A cell's centre lies half a cell from its corner.
    offset = np.array(past.origin_xy) + 0.5
    shift = (now[:2] - growth * then[:2]) / scale_xy + growth * offset - 0.5 - window[:2]
    matrix = np.array([[growth[0], 0, shift[0]], [0, growth[1], shift[1]]])
    size = window[2] - window[0], window[3] - window[1]
    return np.asarray(cv2.warpAffine(past.soft, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)


def _blend_unsure(moved: Grid, weight: float, crop: Grid) -> None:
    """Pull the cells of `crop` towards `moved` in place, by `weight` at one half, not at all at 0 and 255."""
    mine = crop.astype(np.float32)
    doubt = 1 - np.abs(mine - np.float32(127.5)) / np.float32(127.5)
    mine += np.float32(weight) * doubt * (moved - mine)
    crop[...] = np.rint(mine)


def _fit(a: Grid, b: Grid) -> float:
    """Soft IoU, 0…1."""
    most = cv2.sumElems(cv2.max(a, b))[0]
    return cv2.sumElems(cv2.min(a, b))[0] / most if most else 0.0
