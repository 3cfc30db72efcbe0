"""Masks as square cells of the frame, rounded up: what touches a cell covers all of it.

Tested in tests/redaction/test_cells.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks import BoxGrids, Masks
from streamseg.structures import Instances

__all__ = ["Bits", "CellGrid", "CellPatch", "patches"]

Bits = NDArray[np.uint8]

CELLS = 90
"""Along the shorter side of a frame: 8 pixels of 720."""
LOW = 0.25
"""Probability from which on a pixel counts as the object's, where pictures are drawn from a half."""
_TRUSTED_FILL = 0.25
"""Share of its box that a mask covers at least, or the box is covered too."""
_CELLS_APART = 1.5
_TRUSTED_REACH = 0.12
"""Share of a box's side by which a mask may stay away from it, or the box is covered too: a head is
missing."""


@dataclass(frozen=True, slots=True)
class CellGrid:
    """The cells of frames of one size."""

    frame_hw: tuple[int, int]
    side: int = field(init=False)
    """Pixels of a cell, each way."""
    hw: tuple[int, int] = field(init=False)
    """Rows and columns."""

    def __post_init__(self) -> None:
        side = max(2, -(-min(self.frame_hw) // CELLS))
        object.__setattr__(self, "side", side)
        object.__setattr__(self, "hw", (-(-self.frame_hw[0] // side), -(-self.frame_hw[1] // side)))


@dataclass(frozen=True, slots=True, eq=False)
class CellPatch:
    """Cells of one object."""

    x0: int
    """Column at which `bits` begins."""
    y0: int
    bits: Bits
    """(h, w) uint8, 1 where it is."""


def patches(instances: Instances, grid: CellGrid) -> list[CellPatch]:
    """One for each instance: all cells that its mask touches, and its box where mask and box do not agree.

    Masks are looked at wherever they are, not only in their boxes.
    """
    return [_patch(instances.masks, k, box, grid) for k, box in enumerate(instances.xyxy.tolist())]


def _patch(masks: Masks, k: int, box: list[float], grid: CellGrid) -> CellPatch:
    ox, oy, sx, sy = _placing(masks, k)
    set_ = (masks.soft[k] >= _low(masks)).view(np.uint8)
    u, v, w, h = cv2.boundingRect(set_)
    bounds = _cells_of(box, grid)
    if not w:
        return _whole(bounds)
    # By interpolation a pixel may be set that is half a cell of the mask away from one that is; and where
    # cells of the frame are larger than those of the mask, one sample of each must see all it holds.
    reach = [math.floor(1 + grid.side / (2 * s)) for s in (sx, sy)]
    found = [
        ox + sx * (u - reach[0]),
        oy + sy * (v - reach[1]),
        ox + sx * (u + w + reach[0]),
        oy + sy * (v + h + reach[1]),
    ]
    x0, y0, x1, y1 = _cells_of(found, grid)
    if x1 <= x0 or y1 <= y0:
        return _whole(bounds)
    kernel = np.ones((2 * reach[1] + 1, 2 * reach[0] + 1), np.uint8)
    around = cv2.copyMakeBorder(
        set_[v : v + h, u : u + w],
        reach[1], reach[1], reach[0], reach[0],
        cv2.BORDER_CONSTANT, value=0,
    )  # fmt: skip
    grown = cv2.dilate(around, kernel)
    # The middle of each cell of the frame, in cells of the mask; OpenCV counts from the middle of the first.
    way = np.array(
        [
            [grid.side / sx, 0, ((x0 + 0.5) * grid.side - ox) / sx - (u - reach[0]) - 0.5],
            [0, grid.side / sy, ((y0 + 0.5) * grid.side - oy) / sy - (v - reach[1]) - 0.5],
        ]
    )
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    patch = CellPatch(
        x0, y0, np.asarray(cv2.warpAffine(grown, way, (x1 - x0, y1 - y0), flags=flags), np.uint8)
    )
    core = ox + sx * u, oy + sy * v, ox + sx * (u + w), oy + sy * (v + h)
    return patch if _agrees(core, set_, (sx, sy), box) else _with_box(patch, bounds)


def _low(masks: Masks) -> float:
    """The same as a soft value."""
    if masks.logit_slope is None:
        return 255 * LOW
    return 128 + masks.logit_slope * math.log(LOW / (1 - LOW))


def _placing(masks: Masks, k: int) -> tuple[float, float, float, float]:
    """Where the grid of mask `k` begins, x y, and the size of its cells, in pixels of the frame."""
    rows, columns = masks.soft.shape[1:]
    if isinstance(masks.grid, BoxGrids):
        x1, y1, x2, y2 = masks.grid.xyxy[k].tolist()
        return x1, y1, max(x2 - x1, 1e-3) / columns, max(y2 - y1, 1e-3) / rows
    return 0.0, 0.0, *masks.grid


def _agrees(
    core: tuple[float, float, float, float], set_: Bits, cell_xy: tuple[float, float], box: list[float]
) -> bool:
    width, height = box[2] - box[0], box[3] - box[1]
    near_x = max(_TRUSTED_REACH * width, _CELLS_APART * cell_xy[0])
    near_y = max(_TRUSTED_REACH * height, _CELLS_APART * cell_xy[1])
    filled = cv2.countNonZero(set_) * cell_xy[0] * cell_xy[1] >= _TRUSTED_FILL * width * height
    reaches = (
        core[0] <= box[0] + near_x
        and core[1] <= box[1] + near_y
        and core[2] >= box[2] - near_x
        and core[3] >= box[3] - near_y
    )
    return filled and reaches


def _cells_of(xyxy: list[float], grid: CellGrid) -> tuple[int, int, int, int]:
    """The cells that a rectangle in pixels touches, inside the frame: x0 y0 x1 y1, exclusive."""
    rows, columns = grid.hw
    low = [math.floor(value / grid.side) for value in xyxy[:2]]
    high = [math.ceil(value / grid.side) for value in xyxy[2:]]
    return max(low[0], 0), max(low[1], 0), min(high[0], columns), min(high[1], rows)


def _whole(bounds: tuple[int, int, int, int]) -> CellPatch:
    x0, y0, x1, y1 = bounds
    return CellPatch(x0, y0, np.ones((max(y1 - y0, 0), max(x1 - x0, 0)), np.uint8))


def _with_box(patch: CellPatch, bounds: tuple[int, int, int, int]) -> CellPatch:
    h, w = patch.bits.shape
    x0, y0 = min(patch.x0, bounds[0]), min(patch.y0, bounds[1])
    x1, y1 = max(patch.x0 + w, bounds[2]), max(patch.y0 + h, bounds[3])
    bits = np.zeros((y1 - y0, x1 - x0), np.uint8)
    bits[patch.y0 - y0 : patch.y0 - y0 + h, patch.x0 - x0 : patch.x0 - x0 + w] = patch.bits
    bits[bounds[1] - y0 : bounds[3] - y0, bounds[0] - x0 : bounds[2] - x0] = 1
    return CellPatch(x0, y0, bits)
