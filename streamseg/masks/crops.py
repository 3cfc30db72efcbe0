"""Masks as the cells that are set, for comparing shapes without pixels.
Tested in tests/masks/test_frame_masks.py.

Tested by test_frame_masks and test_box_grids.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks.regions import Region, region_from_runs
from streamseg.masks.runs import box_runs, runs_of
from streamseg.masks.soft import THRESHOLD, BoxGrids, Masks

__all__ = ["COMPARED_CELLS", "Crop", "compared_scale", "crop_iou", "mask_iou", "shared_cells", "tight_crops"]

COMPARED_CELLS = 160
"""Cells along a frame's longer side for masks that share no grid. As fine as the grids of the one-stage
networks (138, 80 × 112), on which the tracker's use of masks was measured, and bounded: a mask that fills
the frame has 160 × 160 cells at most, whatever the frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """The set cells of one instance, cut out tightly."""

    x0: int
    """Column of the grid at which `bits` begins."""
    y0: int
    """Row of the grid at which `bits` begins."""
    bits: NDArray[np.bool_]
    """(h, w) bool; 0 × 0 when nothing is set."""
    area: int = field(init=False)
    """Cells set."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "area", int(np.count_nonzero(self.bits)))


def compared_scale(masks: Masks) -> tuple[float, float]:
    """Frame pixels per cell, sx and sy, of the grid of `tight_crops`; crops of equal scales compare.

    Masks over the engine's input keep their grid. Masks over boxes have none in common and are drawn on
    one of square cells over the frame.
    """
    if isinstance(masks.grid, BoxGrids):
        side = max(1.0, max(masks.frame_hw) / COMPARED_CELLS)
        return side, side
    return masks.grid


def tight_crops(masks: Masks) -> list[Crop]:
    """One crop per instance of the cells set on the grid of `compared_scale`."""
    if isinstance(masks.grid, BoxGrids):
        side, _ = compared_scale(masks)
        runs = (box_runs(masks, masks.grid, k, side) for k in range(len(masks)))
        return [_from_region(region_from_runs(of_one)) for of_one in runs]
    return [_tight(soft >= THRESHOLD) for soft in masks.soft]


def _tight(bits: NDArray[np.bool_]) -> Crop:
    """The set part of a C-contiguous grid, copied."""
    x, y, w, h = cv2.boundingRect(bits.view(np.uint8))
    return Crop(x, y, bits[y : y + h, x : x + w].copy())


def _from_region(region: Region) -> Crop:
    return Crop(*region.origin_xy, region.bits)


def crop_iou(a: Crop, b: Crop, shift_xy: tuple[float, float] = (0.0, 0.0)) -> float:
    """Intersection over union of `a`, moved by `shift_xy` cells rounded to whole ones, with `b`.

    The shift is where a tracker expects `a` to have gone. 0 when neither has a cell.
    """
    inter = shared_cells(a, b, shift_xy)
    return inter / (a.area + b.area - inter) if inter else 0.0


def shared_cells(a: Crop, b: Crop, shift_xy: tuple[float, float] = (0.0, 0.0)) -> int:
    """Cells that are set in `a`, moved by `shift_xy` cells rounded to whole ones, and in `b`."""
    dx = a.x0 + round(shift_xy[0]) - b.x0
    dy = a.y0 + round(shift_xy[1]) - b.y0
    part_a = a.bits[max(0, -dy) : max(0, b.bits.shape[0] - dy), max(0, -dx) : max(0, b.bits.shape[1] - dx)]
    part_b = b.bits[max(0, dy) : max(0, a.bits.shape[0] + dy), max(0, dx) : max(0, a.bits.shape[1] + dx)]
    return int(np.count_nonzero(part_a & part_b))


def mask_iou(a: Masks, i: int, b: Masks, j: int) -> float:
    """IoU of instance `i` of `a` with instance `j` of `b`.

    Counted in cells where both lie on one grid over the engine's input, and in pixels of the frame where
    they do not. Raises ValueError when their frames differ in size.
    """
    if a.frame_hw != b.frame_hw:
        raise ValueError(f"mask_iou: frames of {a.frame_hw} and {b.frame_hw} (height, width) differ")
    on_one_grid = not isinstance(a.grid, BoxGrids) and a.grid == b.grid
    if on_one_grid and a.soft.shape[1:] == b.soft.shape[1:]:
        return crop_iou(_tight(a.soft[i] >= THRESHOLD), _tight(b.soft[j] >= THRESHOLD))
    return crop_iou(_in_pixels(a, i), _in_pixels(b, j))


def _in_pixels(masks: Masks, k: int) -> Crop:
    height, width = masks.frame_hw
    whole = np.broadcast_to(np.array([0, 0, width, height], np.float32), (len(masks), 4))
    return _from_region(region_from_runs(runs_of(masks, whole, k)))
