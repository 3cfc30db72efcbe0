"""Masks on demand: from the network's soft grid to pixels, RLE, polygons, areas and overlaps.

A pixel belongs to an instance where the bilinear upsampling of its soft mask to the frame
(half-pixel centres, edges replicated: align_corners=False) is at least 127.5, a
probability of one half. No function makes an N × H × W array; each works inside the tight box
of what is set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.structures import Instances, Masks, Result

__all__ = [
    "THRESHOLD",
    "Crop",
    "FrameMasks",
    "Region",
    "Rle",
    "area",
    "contours",
    "crop_iou",
    "full_frame",
    "mask_iou",
    "polygons",
    "polygons_from_region",
    "region",
    "regions",
    "rle",
    "tight_crops",
]

THRESHOLD = 128
"""Soft values from here on are inside."""

Bits = NDArray[np.bool_]
Indices = NDArray[np.int64]

# Cells read around a box: networks crop up to one cell outside it (YOLACT pads by one), and corners round.
_BOX_MARGIN = 2
_HALF = np.float32(127.5)


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """The set cells of one instance at the network's resolution, cut out tightly."""

    x0: int
    """Column of the grid at which `bits` begins."""
    y0: int
    """Row of the grid at which `bits` begins."""
    bits: Bits
    """(h, w) bool; 0 × 0 when nothing is set."""
    area: int = field(init=False)
    """Cells set."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "area", int(np.count_nonzero(self.bits)))


class Region(NamedTuple):
    """Part of the frame that holds every pixel of one instance."""

    origin_xy: tuple[int, int]
    """Pixel of the frame at which `bits` begins."""
    bits: Bits
    """(h, w) bool, inside the frame; 0 × 0 when the instance has no pixel."""


_NOTHING = Region((0, 0), np.zeros((0, 0), np.bool_))


class _Runs(NamedTuple):
    """Where runs of an instance's pixels down the columns of the frame begin and end, by turns."""

    column: Indices
    row: Indices
    """Of the first pixel, and of the first one below, 0 … H; never less than the one before in its column."""


_NO_RUNS = _Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Rle(TypedDict):
    """COCO's compressed run-length encoding, column by column; what pycocotools decodes."""

    size: list[int]
    """Height and width of the frame."""
    counts: str


def tight_crops(masks: Masks, threshold: int = THRESHOLD) -> list[Crop]:
    """One crop per instance of the cells whose soft value is at least `threshold`."""
    return [_tight(soft >= threshold) for soft in masks.soft]


def _tight(bits: Bits) -> Crop:
    """The set part of a C-contiguous grid, copied."""
    x, y, w, h = cv2.boundingRect(bits.view(np.uint8))
    return Crop(x, y, bits[y : y + h, x : x + w].copy())


def crop_iou(a: Crop, b: Crop, shift_xy: tuple[float, float] = (0.0, 0.0)) -> float:
    """Intersection over union of `a`, moved by `shift_xy` cells rounded to whole ones, with `b`.

    The shift is where a tracker expects `a` to have gone. 0 when neither has a cell.
    """
    dx = a.x0 + round(shift_xy[0]) - b.x0
    dy = a.y0 + round(shift_xy[1]) - b.y0
    part_a = a.bits[max(0, -dy) : max(0, b.bits.shape[0] - dy), max(0, -dx) : max(0, b.bits.shape[1] - dx)]
    part_b = b.bits[max(0, dy) : max(0, a.bits.shape[0] + dy), max(0, dx) : max(0, a.bits.shape[1] + dx)]
    inter = int(np.count_nonzero(part_a & part_b))
    return inter / (a.area + b.area - inter) if inter else 0.0


def mask_iou(a: Masks, i: int, b: Masks, j: int) -> float:
    """IoU of instance `i` of `a` with instance `j` of `b`, counted in cells of their common grid.

    Raises ValueError when the grids differ.
    """
    if a.soft.shape[1:] != b.soft.shape[1:] or a.scale_xy != b.scale_xy:
        raise ValueError(
            f"mask_iou: grids {a.soft.shape[1:]} × {a.scale_xy} and {b.soft.shape[1:]} × {b.scale_xy} differ"
        )
    return crop_iou(_tight(a.soft[i] >= THRESHOLD), _tight(b.soft[j] >= THRESHOLD))


def region(masks: Masks, xyxy: NDArray[np.float32], k: int) -> Region:
    """The pixels of instance `k`, also those that interpolation spills over its box.

    `xyxy` are the (N, 4) boxes of the same Instances in frame pixels. Soft masks are zero outside their
    box, so only cells under it and a few around are looked at: whatever lay further away would be cut off.
    """
    return _region_from_runs(_runs(masks, xyxy, k))


def _runs(masks: Masks, xyxy: NDArray[np.float32], k: int) -> _Runs:
    """Interpolate along x only, then solve for where each column of pixels crosses one half.

    Between two rows of cells a column's value is linear in y, so its ends follow from the cells: half the
    time of making all pixels (cv2.warpAffine) and comparing, and the RLE needs no pixel at all.
    """
    (_, rows, columns), (scale_x, scale_y), (height, width) = masks.soft.shape, masks.scale_xy, masks.frame_hw
    x_cells = _cells_under(xyxy[k, 0], xyxy[k, 2], scale_x, columns)
    y_cells = _cells_under(xyxy[k, 1], xyxy[k, 3], scale_y, rows)
    tight = _tight(masks.soft[k, y_cells, x_cells] >= THRESHOLD)
    if not tight.area:
        return _NO_RUNS
    # One cell more on every side: that far a set cell reaches.
    top, bottom = _widened(y_cells.start + tight.y0, tight.bits.shape[0], rows)
    left, right = _widened(x_cells.start + tight.x0, tight.bits.shape[1], columns)
    inner: NDArray[Any] = masks.soft[k, top:bottom, left:right]
    if masks.finer > 1:
        n = masks.finer
        inner = cv2.resize(inner.astype(np.float32), None, fx=n, fy=n, interpolation=cv2.INTER_LINEAR)
        top, bottom, left, right, rows, columns = (n * v for v in (top, bottom, left, right, rows, columns))
        scale_x, scale_y = scale_x / n, scale_y / n
    # Columns of cells as rows, with a 0 before and after each: every run has both its ends.
    cells = np.zeros((right - left, bottom - top + 2), np.float32)
    cells[:, 1:-1] = inner.T
    x0, grid = _interpolated(cells, left, _Axis.of(width, columns, scale_x))
    values = grid.ravel()
    inside = values >= _HALF
    flips = np.flatnonzero(inside[1:] != inside[:-1])
    column = flips // cells.shape[1]
    gap = flips - column * cells.shape[1]
    before, after = values[flips], values[flips + 1]
    crossing = gap + (top - 0.5) + (_HALF - before) / (after - before)
    row = np.ceil(crossing * scale_y - 0.5).astype(np.int64)
    # Beyond the outermost centres of the grid its edge is replicated.
    if top == 0:
        row[gap == 0] = 0
    if bottom == rows:
        row[gap == bottom - top] = height
    return _Runs(x0 + column, np.minimum(row, height))


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
    fraction: NDArray[np.float32]
    """(pixels, 1), weight of the cell to the right; 0 where there is none."""

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, pixels: int, cells: int, scale: float) -> _Axis:
        centre = np.clip((np.arange(pixels) + 0.5) / scale - 0.5, 0, cells - 1)
        lower = centre.astype(np.int64)
        return cls(lower, (centre - lower).astype(np.float32)[:, None])


def _interpolated(cells: NDArray[np.float32], first: int, axis: _Axis) -> tuple[int, NDArray[np.float32]]:
    """The first pixel that `cells`, rows from cell `first` on, reach; and a row for each such pixel."""
    start, stop = np.searchsorted(axis.lower, (first, first + len(cells))).tolist()
    lower = axis.lower[start:stop] - first
    left = cells.take(lower, axis=0)
    right = cells.take(lower + 1, axis=0, mode="clip")
    right -= left
    right *= axis.fraction[start:stop]
    right += left
    return start, right


def _region_from_runs(runs: _Runs) -> Region:
    if not len(runs.row):
        return _NOTHING
    x0, y0 = int(runs.column[0]), int(runs.row.min())
    width, height = int(runs.column[-1]) + 1 - x0, int(runs.row.max()) - y0
    if not height:
        return _NOTHING
    ends = (runs.column - x0) * height + (runs.row - y0)
    values = np.zeros(len(ends) + 1, np.uint8)
    values[1::2] = 1
    down_columns = np.repeat(values, _gaps(ends, width * height)).reshape(width, height)
    return Region((x0, y0), cv2.transpose(down_columns).view(np.bool_))


def _gaps(ends: Indices, total: int) -> Indices:
    """(n + 1,) the pieces into which n ascending `ends` cut 0 … `total`."""
    gaps = np.empty(len(ends) + 1, np.int64)
    gaps[0] = ends[0] if len(ends) else total
    np.subtract(ends[1:], ends[:-1], out=gaps[1:-1])
    gaps[-1] = total - ends[-1] if len(ends) else total
    return gaps


def regions(instances: Instances) -> list[Region]:
    """The region of every instance, in order."""
    return FrameMasks(instances).regions


def full_frame(masks: Masks, xyxy: NDArray[np.float32], k: int) -> Bits:
    """(H, W) bool, the pixels of instance `k`."""
    (x0, y0), bits = region(masks, xyxy, k)
    frame = np.zeros(masks.frame_hw, np.bool_)
    frame[y0 : y0 + bits.shape[0], x0 : x0 + bits.shape[1]] = bits
    return frame


def area(masks: Masks, xyxy: NDArray[np.float32], k: int) -> int:
    """The number of pixels of instance `k`."""
    return _area_from_runs(_runs(masks, xyxy, k))


def _area_from_runs(runs: _Runs) -> int:
    return int(runs.row[1::2].sum() - runs.row[::2].sum())


def polygons(
    masks: Masks, xyxy: NDArray[np.float32], k: int, tolerance_px: float = 1.0
) -> list[NDArray[np.float32]]:
    """The outline of instance `k`, as `polygons_from_region` gives it."""
    return polygons_from_region(region(masks, xyxy, k), tolerance_px)


def polygons_from_region(mask: Region, tolerance_px: float = 1.0) -> list[NDArray[np.float32]]:
    """Closed rings (n ≥ 3, 2) of x y in frame pixels: outer edges and holes, to be filled by even-odd rule.

    They run through the centres of the border pixels (a hole's through those around it), half a
    pixel inside the mask's true edge, and leave it by at most `tolerance_px`
    (Douglas-Peucker). Parts without an inside, such as a lone pixel, have no ring.
    """
    rings = (ring[:, 0] for ring in contours(mask, tolerance_px) if len(ring) >= 3)
    return [ring.astype(np.float32) + np.float32(0.5) for ring in rings]


def contours(mask: Region, tolerance_px: float = 0.0) -> list[NDArray[np.int32]]:
    """Rings (n, 1, 2) of x y indices of the border pixels, outer edges and holes, as OpenCV draws them.

    Simplified by Douglas-Peucker to within `tolerance_px`, where that is above 0.
    """
    if not mask.bits.size:
        return []
    rings, _ = cv2.findContours(
        mask.bits.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=mask.origin_xy
    )
    if tolerance_px > 0:
        rings = [cv2.approxPolyDP(ring, tolerance_px, True) for ring in rings]
    return [np.asarray(ring, np.int32) for ring in rings]


def rle(masks: Masks, xyxy: NDArray[np.float32], k: int) -> Rle:
    """The pixels of instance `k` as COCO RLE, made from its cells without a picture."""
    return _rles_from_runs([_runs(masks, xyxy, k)], masks.frame_hw)[0]


def _rles_from_runs(instances: Sequence[_Runs], frame_hw: tuple[int, int]) -> list[Rle]:
    strings = _coco_strings([_run_lengths(runs, frame_hw) for runs in instances])
    return [Rle(size=[frame_hw[0], frame_hw[1]], counts=counts) for counts in strings]


def _run_lengths(runs: _Runs, frame_hw: tuple[int, int]) -> Indices:
    """Lengths of alternating runs of 0 and 1 down the columns of the frame, beginning with 0."""
    ends = runs.column * frame_hw[0] + runs.row
    if np.any(ends[1:] == ends[:-1]):
        # A run without a pixel, or one that goes on at the top of the next column.
        ends, times = np.unique(ends, return_counts=True)
        ends = ends[times % 2 == 1]
    lengths = _gaps(ends, frame_hw[0] * frame_hw[1])
    return lengths if lengths[-1] else lengths[:-1]


def _coco_strings(lists: Sequence[Indices]) -> list[str]:
    """COCO's text form of run lengths (`rleToString` in cocoapi's maskApi.c), all lists at once.

    From the fourth on a length is stored as the difference from the one two before. Each number is
    split into groups of five bits, lowest first; bit 5 says that more follow, and the last group's
    bit 4 is the sign; 48 is added to stay printable.
    """
    if not lists:
        return []
    values = np.concatenate([part for c in lists for part in (c[:3], c[3:] - c[1:-2])])
    magnitude = values ^ (values >> 63)
    size = np.ones(len(values), np.int64)
    longer = [np.flatnonzero(magnitude >> 4)]
    while len(longer[-1]):
        size[longer[-1]] += 1
        longer.append(longer[-1][magnitude[longer[-1]] >> (5 * len(longer) + 4) > 0])
    end = np.cumsum(size)
    start = end - size
    text = np.empty(end[-1], np.uint8)
    text[start] = 48 + (values & 31)
    # Few numbers need another group: one pass per group over those that do.
    for group, which in enumerate(longer, start=1):
        text[start[which] + group - 1] += 32
        text[start[which] + group] = 48 + ((values[which] >> 5 * group) & 31)
    stops = end[np.cumsum([len(c) for c in lists]) - 1].tolist()
    chars = text.tobytes().decode("ascii")
    return [chars[i:j] for i, j in zip([0, *stops[:-1]], stops, strict=True)]


class FrameMasks:
    """The masks of one frame, each interpolated once however many ask: overlay, RLE, area.

    Not for several threads at once.
    """

    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    @classmethod
    def of(cls, result: Result) -> FrameMasks:
        """Those of a result's instances, made once however many sinks ask, one after another."""
        masks: FrameMasks = result.shared.setdefault(cls, cls(result.instances))
        return masks

    def __len__(self) -> int:
        return len(self._instances)

    @cached_property
    def _all_runs(self) -> list[_Runs]:
        masks, xyxy = self._instances.masks, self._instances.xyxy
        return [_runs(masks, xyxy, k) for k in range(len(self))]

    @cached_property
    def regions(self) -> list[Region]:
        """One region per instance, in the order of the instances; read, do not write."""
        return [_region_from_runs(runs) for runs in self._all_runs]

    @cached_property
    def rles(self) -> list[Rle]:
        """One COCO RLE per instance; needs no pixels, so it is cheap also without `regions`."""
        return _rles_from_runs(self._all_runs, self._instances.masks.frame_hw)

    @cached_property
    def areas(self) -> list[int]:
        """Pixels per instance."""
        return [_area_from_runs(runs) for runs in self._all_runs]
