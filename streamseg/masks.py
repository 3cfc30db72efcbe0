"""Masks on demand: from the network's soft grid to pixels, RLE, polygons, areas and overlaps.

A pixel belongs to an instance where the bilinear upsampling of its soft mask to the frame
(half-pixel centres, edges replicated: align_corners=False) rounds to 128 or more, i.e. where the
probability is at least one half. No function makes an N × H × W array; each works inside the tight box
of what is set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.structures import Instances, Masks

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
    "rles_from_regions",
    "tight_crops",
]

THRESHOLD = 128
"""Soft values from here on are inside."""

Bits = NDArray[np.bool_]
Indices = NDArray[np.int64]

# Cells read around a box: networks crop up to one cell outside it (YOLACT pads by one), and corners round.
_BOX_MARGIN = 2
_WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


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

    `xyxy` are the (N, 4) boxes of the same Instances in frame pixels: only cells under box `k` are read.
    """
    x_cells = _cells_under(xyxy[k, 0], xyxy[k, 2], masks.scale_xy[0], masks.soft.shape[2])
    y_cells = _cells_under(xyxy[k, 1], xyxy[k, 3], masks.scale_xy[1], masks.soft.shape[1])
    tight = _tight(masks.soft[k, y_cells, x_cells] >= THRESHOLD)
    if not tight.area:
        return _NOTHING
    return _upsampled(masks, k, (x_cells.start + tight.x0, y_cells.start + tight.y0), tight.bits.shape)


def _cells_under(low: float, high: float, scale: float, cells: int) -> slice:
    """The cells that a box from `low` to `high` pixels may have set, along one axis."""
    start = min(max(math.floor(low / scale) - _BOX_MARGIN, 0), cells)
    return slice(start, max(start, min(math.ceil(high / scale) + _BOX_MARGIN, cells)))


def _upsampled(masks: Masks, k: int, first_xy: tuple[int, int], count_hw: tuple[int, ...]) -> Region:
    """Every pixel that the given block of set cells may colour: one cell further on each side."""
    scale_x, scale_y = masks.scale_xy
    (x, y), (rows, columns) = first_xy, count_hw
    x0, x1 = _pixels_reached(x, columns, scale_x, masks.frame_hw[1])
    y0, y1 = _pixels_reached(y, rows, scale_y, masks.frame_hw[0])
    if x0 >= x1 or y0 >= y1:
        return _NOTHING
    cell_x, cell_y = max(x - 1, 0), max(y - 1, 0)
    source = masks.soft[k, cell_y : y + rows + 1, cell_x : x + columns + 1]
    pixel_to_cell = np.array(
        [
            [1 / scale_x, 0, (x0 + 0.5) / scale_x - 0.5 - cell_x],
            [0, 1 / scale_y, (y0 + 0.5) / scale_y - 0.5 - cell_y],
        ]
    )
    # Exact but for the rounding to uint8; cv2.resize, 2 to 8 × as fast, would snap to whole cells.
    soft = cv2.warpAffine(
        source, pixel_to_cell, (x1 - x0, y1 - y0), flags=_WARP, borderMode=cv2.BORDER_REPLICATE
    )
    cv2.threshold(soft, THRESHOLD - 1, 1, cv2.THRESH_BINARY, dst=soft)
    return Region((x0, y0), soft.view(np.bool_))


def _pixels_reached(first: int, count: int, scale: float, pixels: int) -> tuple[int, int]:
    """First pixel and end of what is interpolated from cells first … first + count − 1, along one axis."""
    start = math.floor((first - 0.5) * scale - 0.5)
    stop = math.ceil((first + count + 0.5) * scale + 0.5)
    return max(start, 0), min(stop, pixels)


def regions(instances: Instances) -> list[Region]:
    """The region of every instance, in order."""
    return [region(instances.masks, instances.xyxy, k) for k in range(len(instances))]


def full_frame(masks: Masks, xyxy: NDArray[np.float32], k: int) -> Bits:
    """(H, W) bool, the pixels of instance `k`."""
    (x0, y0), bits = region(masks, xyxy, k)
    frame = np.zeros(masks.frame_hw, np.bool_)
    frame[y0 : y0 + bits.shape[0], x0 : x0 + bits.shape[1]] = bits
    return frame


def area(masks: Masks, xyxy: NDArray[np.float32], k: int) -> int:
    """The number of pixels of instance `k`."""
    return int(np.count_nonzero(region(masks, xyxy, k).bits))


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
    """The pixels of instance `k` as COCO RLE."""
    return rles_from_regions([region(masks, xyxy, k)], masks.frame_hw)[0]


def rles_from_regions(parts: Sequence[Region], frame_hw: tuple[int, int]) -> list[Rle]:
    """COCO RLE of each region in a frame of `frame_hw` (height, width) pixels, made from the region alone."""
    strings = _coco_strings([_run_lengths(part, frame_hw) for part in parts])
    return [Rle(size=[frame_hw[0], frame_hw[1]], counts=counts) for counts in strings]


def _run_lengths(part: Region, frame_hw: tuple[int, int]) -> Indices:
    """Lengths of alternating runs of 0 and 1 down the columns of the frame, beginning with 0."""
    (x0, y0), (height, width), pixels = part.origin_xy, part.bits.shape, frame_hw[0] * frame_hw[1]
    if not part.bits.size:
        return np.array([pixels], np.int64)
    # Columns one after the other, a 0 before each and after the last: every run has both its ends.
    flat = np.zeros(width * (height + 1) + 1, np.uint8)
    flat[:-1].reshape(width, height + 1)[:, 1:] = cv2.transpose(part.bits.view(np.uint8))
    column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), height + 1)
    ends = (x0 + column) * frame_hw[0] + y0 + row
    if height == frame_hw[0]:
        ends = _joined(ends)
    lengths = np.diff(ends, prepend=0, append=pixels)
    return lengths if lengths[-1] else lengths[:-1]


def _joined(ends: Indices) -> Indices:
    """`ends` without those at which a run stops at the foot of a column and goes on at the next one's top."""
    twice = np.flatnonzero(ends[1:] == ends[:-1])
    return np.delete(ends, np.concatenate([twice, twice + 1]))


def _coco_strings(lists: Sequence[Indices]) -> list[str]:
    """COCO's text form of run lengths (`rleToString` in cocoapi's maskApi.c), all lists at once.

    From the fourth on a length is stored as the difference from the one two before. Each number is
    split into groups of five bits, lowest first; bit 5 says that more follow, and the last group's
    bit 4 is the sign; 48 is added to stay printable.
    """
    if not lists:
        return []
    values = np.concatenate([np.concatenate([c[:3], c[3:] - c[1:-2]]) for c in lists])
    magnitude = values ^ (values >> 63)
    groups = 5 * np.arange(int(magnitude.max()).bit_length() // 5 + 1)
    needed = 1 + np.count_nonzero(magnitude[:, None] >> (groups + 4), axis=1)
    last = 5 * (needed[:, None] - 1)
    text = 48 + ((values[:, None] >> groups) & 31) + 32 * (groups < last)
    chars = text[groups <= last].astype(np.uint8).tobytes().decode("ascii")
    stops = np.cumsum(needed)[np.cumsum([len(c) for c in lists]) - 1].tolist()
    return [chars[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


class FrameMasks:
    """The masks of one frame in pixels, each upsampled once however many ask: overlay, RLE, area.

    Not for several threads at once.
    """

    def __init__(self, instances: Instances) -> None:
        self._instances = instances

    def __len__(self) -> int:
        return len(self._instances)

    @cached_property
    def regions(self) -> list[Region]:
        """One region per instance, in the order of the instances; read, do not write."""
        return regions(self._instances)

    @cached_property
    def rles(self) -> list[Rle]:
        """One COCO RLE per instance."""
        return rles_from_regions(self.regions, self._instances.masks.frame_hw)

    @property
    def areas(self) -> list[int]:
        """Pixels per instance."""
        return [int(np.count_nonzero(part.bits)) for part in self.regions]
