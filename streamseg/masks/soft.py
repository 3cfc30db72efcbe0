"""Soft masks as the engine gave them, and where in the frame their grids lie.
Tested in tests/masks/test_box_grids.py.

Tested by test_frame_masks and test_box_grids.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["THRESHOLD", "BoxGrids", "Masks", "Paste", "check_column"]

THRESHOLD = 128
"""Soft values from here on are inside, whatever the encoding."""

Array = NDArray[Any]
Index = NDArray[np.intp] | NDArray[np.bool_]
Paste = Literal["continuous", "torchvision"]
Extent = tuple[float, float, float, float]


def check_column(owner: str, name: str, array: Array, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `array` has `dtype` and `shape` (None: any length)."""
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        want = tuple("*" if n is None else n for n in shape)
        raise ValueError(
            f"{owner}.{name}: expected {np.dtype(dtype)} {want}, got {array.dtype} {array.shape}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class BoxGrids:
    """Where masks lie that have a grid each, over their own box (two-stage families).

    Outside its box a mask is 0, and so it is interpolated: as if a ring of cells of 0 lay around it.
    """

    xyxy: NDArray[np.float32]
    """(N, 4) float32, pixels of the frame, as the engine gave them: not clipped to the frame."""
    paste: Paste = "continuous"
    """`continuous`: the grid covers the box exactly (mmdet, detectron2). `torchvision`: grid and ring
    together cover whole pixels, between the corners of the enlarged box with their fractions cut off, both
    inclusive; and a pixel at exactly one half is outside."""

    def __post_init__(self) -> None:
        check_column("BoxGrids", "xyxy", self.xyxy, np.float32, (None, 4))

    def select(self, index: Index) -> BoxGrids:
        """The rows at `index`, (n,) integers or (N,) booleans; copies."""
        return replace(self, xyxy=self.xyxy[index])

    def extent(self, k: int, rows: int, columns: int) -> Extent:
        """x1 y1 x2 y2 in frame pixels that `rows` × `columns` cells of mask `k` and the ring cover together.

        Not finite where the box is not.
        """
        x1, y1, x2, y2 = self.xyxy[k].tolist()
        if self.paste == "continuous":
            side_x, side_y = (x2 - x1) / columns, (y2 - y1) / rows
            return x1 - side_x, y1 - side_y, x2 + side_x, y2 + side_y
        left, right = _enlarged(self.xyxy[k, 0], self.xyxy[k, 2], columns)
        top, bottom = _enlarged(self.xyxy[k, 1], self.xyxy[k, 3], rows)
        return left, top, max(right, left) + 1, max(bottom, top) + 1


def _enlarged(low: np.float32, high: np.float32, cells: int) -> tuple[float, float]:
    """One side of a box with a cell more at either end, in torchvision's own steps of float32."""
    half = (high - low) * np.float32(0.5) * np.float32((cells + 2) / cells)
    centre = (high + low) * np.float32(0.5)
    return float(np.trunc(centre - half)), float(np.trunc(centre + half))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Masks:
    """Soft masks at the network's resolution and the way from their grids to pixels of the frame.

    Either all lie on one grid over the engine's whole input, or each on a grid over its own box; the
    functions of this package take both alike. A cell's centre is at (j + 0.5, i + 0.5) cells from the
    grid's corner, the half-pixel convention of bilinear resizing with align_corners=False. With
    `resize = fit` a grid over the input may reach beyond the frame on the right and at the bottom; cells
    out there belong to the padding.
    """

    soft: NDArray[np.uint8]
    """(N, mh, mw) uint8, 0…255, from 128 on inside. A probability of 0…1, on a grid over the input zero
    outside the instance's box; or a logit (see `logit_slope`), which may be inside anywhere."""
    grid: tuple[float, float] | BoxGrids
    """Frame pixels per cell, sx and sy, of the grid over the engine's whole input, whose corner is the
    frame's; or the boxes over which each mask has its own."""
    frame_hw: tuple[int, int]
    """Height and width of the frame in pixels."""
    finer: int = 1
    """Pixels are interpolated from a grid this many times finer, itself interpolated from the cells; 1: from
    the cells. SOLOv2 is defined with 4: to the network's input first, then to the picture."""
    logit_slope: float | None = None
    """None: a cell is 255 × probability. Else it is 128 + slope × logit, and pixels are interpolated from
    that: networks that are defined so have other outlines from probabilities."""

    def __post_init__(self) -> None:
        check_column("Masks", "soft", self.soft, np.uint8, (None, None, None))
        if isinstance(self.grid, BoxGrids) and len(self.grid.xyxy) != len(self.soft):
            raise ValueError(f"Masks.grid: expected {len(self.soft)} boxes, got {len(self.grid.xyxy)}")

    def __len__(self) -> int:
        return len(self.soft)

    @property
    def half(self) -> float:
        """The interpolated value that divides inside from outside: a probability of ½, a logit of 0."""
        return 127.5 if self.logit_slope is None else 128.0

    def select(self, index: Index) -> Masks:
        """The masks at `index`, (n,) integers or (N,) booleans; copies."""
        grid = self.grid.select(index) if isinstance(self.grid, BoxGrids) else self.grid
        return replace(self, soft=self.soft[index], grid=grid)

    def __repr__(self) -> str:
        layout = ", each over its box" if isinstance(self.grid, BoxGrids) else ""
        return f"Masks({self.soft.shape}{layout}, frame {self.frame_hw[1]}x{self.frame_hw[0]})"
