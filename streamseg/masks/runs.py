"""From soft grids to runs of pixels down the columns of the frame, without making a picture.
Tested in tests/masks/test_box_grids.py.

A pixel belongs to an instance where the bilinear upsampling of its soft mask to the frame (half-pixel
centres) is at least one half. Between two rows of cells a column's value is linear in y, so its ends follow
from the cells: half the time of making all pixels (cv2.warpAffine) and comparing, and the RLE needs no
pixel at all.

Tested by test_frame_masks and test_box_grids.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks.soft import THRESHOLD, BoxGrids, Masks

__all__ = ["Indices", "Runs", "area_from_runs", "box_runs", "gaps", "runs_of"]

Bits = NDArray[np.bool_]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

# Cells read around a box: networks crop up to one cell outside it (YOLACT pads by one), and corners round.
_BOX_MARGIN = 2


class Runs(NamedTuple):
    """Where runs of an instance's pixels down the columns of the frame begin and end, by turns."""

    column: Indices
    row: Indices
    """Of the first pixel, and of the first one below, 0 … H; never less than the one before in its column."""


_NO_RUNS = Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))


def runs_of(masks: Masks, xyxy: NDArray[np.float32], k: int) -> Runs:
    """The runs of instance `k`; `xyxy` (N, 4) are the boxes of the same Instances in frame pixels.

    On a grid over the input only cells under the box and a few around are looked at, since all others are 0;
    of logits all are, which networks do not crop.
    """
    if isinstance(masks.grid, BoxGrids):
        return box_runs(masks, masks.grid, k)
    return _input_runs(masks, masks.grid, xyxy, k)


def _input_runs(masks: Masks, scale_xy: tuple[float, float], xyxy: NDArray[np.float32], k: int) -> Runs:
    if not math.isfinite(sum(xyxy[k].tolist())):
        return _NO_RUNS
    (_, rows, columns), (scale_x, scale_y), (height, width) = masks.soft.shape, scale_xy, masks.frame_hw
    x_cells, y_cells = slice(0, columns), slice(0, rows)
    if masks.logit_slope is None:
        x_cells = _cells_under(xyxy[k, 0], xyxy[k, 2], scale_x, columns)
        y_cells = _cells_under(xyxy[k, 1], xyxy[k, 3], scale_y, rows)
    set_cells = masks.soft[k, y_cells, x_cells] >= THRESHOLD
    x, y, w, h = cv2.boundingRect(set_cells.view(np.uint8))
    if not w:
        return _NO_RUNS
    # One cell more on every side: that far a set cell reaches.
    top, bottom = _widened(y_cells.start + y, h, rows)
    left, right = _widened(x_cells.start + x, w, columns)
    inner: NDArray[Any] = masks.soft[k, top:bottom, left:right]
    if masks.finer > 1:
        n = masks.finer
        inner = _finer(inner, n)
        top, bottom, left, right, rows, columns = (n * v for v in (top, bottom, left, right, rows, columns))
        scale_x, scale_y = scale_x / n, scale_y / n
    cells = _ringed(inner, 0)
    axis = _Axis.of(width, columns, scale_x)
    start, stop = axis.first[left], axis.first[right]
    grid = _interpolated(cells, axis.lower[start:stop] - left, axis.fraction[start:stop])
    column, gap, crossing = _crossings(grid, grid >= np.float32(masks.half), top - 0.5, masks.half)
    row = np.ceil(crossing * scale_y - 0.5).astype(np.int64)
    # Beyond the outermost centres of the grid its edge is replicated.
    if top == 0:
        row[gap == 0] = 0
    if bottom == rows:
        row[gap == bottom - top] = height
    return Runs(start + column, np.minimum(row, height))


def box_runs(masks: Masks, grids: BoxGrids, k: int, pixel: float = 1.0) -> Runs:
    """The runs of a mask on its box, in a frame whose pixels are `pixel` true ones wide and high."""
    inner: NDArray[Any] = masks.soft[k]
    if not (inner >= THRESHOLD).any():
        return _NO_RUNS
    inner = _finer(inner, masks.finer) if masks.finer > 1 else inner
    extent = grids.extent(k, *inner.shape)
    if not (math.isfinite(sum(map(abs, extent))) and extent[2] > extent[0] and extent[3] > extent[1]):
        return _NO_RUNS
    height, width = (math.ceil(side / pixel) for side in masks.frame_hw)
    x1, y1, x2, y2 = (side / pixel for side in extent)
    cells = _ringed(inner, 1)
    scale_x, scale_y = (x2 - x1) / cells.shape[0], (y2 - y1) / cells.shape[1]
    start, stop = (math.ceil(min(max(x, 0), width) - 0.5) for x in (x1, x2))
    if not (scale_x > 0 and scale_y > 0 and stop > start):
        return _NO_RUNS
    lower, fraction = _between((np.arange(start, stop) + 0.5 - x1) / scale_x, len(cells))
    grid = _interpolated(cells, lower, fraction)
    excludes_half = grids.paste == "torchvision"
    half = np.float32(masks.half)
    column, _, crossing = _crossings(grid, grid > half if excludes_half else grid >= half, 0.5, masks.half)
    at = np.clip(y1 + crossing * scale_y - 0.5, -1, height)
    up, past = np.ceil(at), np.floor(at) + 1
    row = np.clip(np.where(np.arange(len(at)) % 2 == excludes_half, up, past), 0, height).astype(np.int64)
    # Where two runs meet in a point, rounding may let them overlap by a pixel.
    row = np.maximum.accumulate(column * height + row) - column * height
    filled = np.repeat(row[1::2] > row[::2], 2)
    return Runs(start + column[filled], row[filled])


def _finer(cells: NDArray[Any], n: int) -> Floats:
    fine = cv2.resize(cells.astype(np.float32), None, fx=n, fy=n, interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine, np.float32)


def _ringed(inner: NDArray[Any], side: int) -> Floats:
    """(w + 2·side, h + 2) columns of cells as rows, with a 0 before and after each: every run has both its
    ends; and with `side` columns of 0 on either side."""
    height, width = inner.shape
    cells = np.zeros((width + 2 * side, height + 2), np.float32)
    cells[side : side + width, 1:-1] = inner.T
    return cells


def _crossings(grid: Floats, inside: Bits, offset: float, half: float) -> tuple[Indices, Indices, Any]:
    """Where rows of `grid` (pixels, cells) go in and out: the row, the cell before, the place + `offset`."""
    values, flat = grid.ravel(), inside.ravel()
    flips = np.flatnonzero(flat[1:] != flat[:-1])
    column = flips // grid.shape[1]
    gap = flips - column * grid.shape[1]
    before, after = values[flips], values[flips + 1]
    return column, gap, gap + offset + (np.float32(half) - before) / (after - before)


def _cells_under(low: float, high: float, scale: float, cells: int) -> slice:
    """The cells that a box from `low` to `high` pixels may have set, along one axis."""
    start = min(max(math.floor(low / scale) - _BOX_MARGIN, 0), cells)
    return slice(start, max(start, min(math.ceil(high / scale) + _BOX_MARGIN, cells)))


def _widened(first: int, count: int, cells: int) -> tuple[int, int]:
    """First cell and end of `count` cells from `first` on and one more at either side."""
    return max(first - 1, 0), min(first + count + 1, cells)


class _Axis(NamedTuple):
    """What every pixel along one axis of a frame is interpolated from."""

    lower: Indices
    """The cell to the left, never decreasing; the first cell for pixels before its centre."""
    fraction: Floats
    """(pixels, 1), weight of the cell to the right; 0 where there is none."""
    first: list[int]
    """(cells + 1,) the first pixel whose `lower` is at least this."""

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, pixels: int, cells: int, scale: float) -> _Axis:
        lower, fraction = _between((np.arange(pixels) + 0.5) / scale, cells)
        return cls(lower, fraction, np.searchsorted(lower, np.arange(cells + 1)).tolist())


def _between(places: NDArray[np.floating], cells: int) -> tuple[Indices, Floats]:
    """(n,) the cell to the left of each place, in cells from the grid's edge; (n, 1) how far past it."""
    centre = np.clip(places - 0.5, 0, cells - 1)
    lower = centre.astype(np.int64)
    return lower, (centre - lower).astype(np.float32)[:, None]


def _interpolated(cells: Floats, lower: Indices, fraction: Floats) -> Floats:
    """(n, h) a row for each pixel, between rows `lower` and `lower` + 1 of `cells`."""
    left = cells.take(lower, axis=0)
    right = cells.take(lower + 1, axis=0, mode="clip")
    right -= left
    right *= fraction
    right += left
    return right


def gaps(ends: Indices, total: int) -> Indices:
    """(n + 1,) the pieces into which n ascending `ends` cut 0 … `total`."""
    pieces = np.empty(len(ends) + 1, np.int64)
    pieces[0] = ends[0] if len(ends) else total
    np.subtract(ends[1:], ends[:-1], out=pieces[1:-1])
    pieces[-1] = total - ends[-1] if len(ends) else total
    return pieces


def area_from_runs(runs: Runs) -> int:
    """The number of pixels."""
    return int(runs.row[1::2].sum() - runs.row[::2].sum())
