"""Which cells are responsible for which object (SOLO, Wang et al. 2019 §3.1; mmdetection's SOLOv2).

Tested in tests/training/test_reference.py.
"""

from __future__ import annotations

from math import inf, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Assigned", "assign", "scale_ranges"]

CENTRE_SHARE = 0.2
"""Sides of the region around an object's centre of mass whose cells answer for it, as shares of its box's."""


class Assigned(NamedTuple):
    """For one picture. N cells (levels one after the other, row by row), C classes."""

    labels: Tensor
    """(N,) int64: the class, C for background; of several objects the last."""
    cells: Tensor
    """(m,) int64: rows of the heads that draw an object; a cell of two objects is there twice."""
    objects: Tensor
    """(m,) int64: the object that each draws."""


def scale_ranges(input_hw: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """√(w·h) in pixels of the input, least and greatest, of the objects of each of the five levels.

    In shares of the input's shorter side these are the published ranges, (1, 96) (48, 192) (96, 384) (192,
    768) (384, 2048) for 768 and (1, 56) … (224, 896) for 448, whose last ends beyond the largest object.
    """
    side = min(input_hw)
    return (1, side / 8), (side / 16, side / 4), (side / 8, side / 2), (side / 4, side), (side / 2, inf)


def assign(
    boxes: Tensor,
    classes: Tensor,
    centres: Tensor,
    num_classes: int,
    grids: tuple[int, ...],
    input_hw: tuple[int, int],
) -> Assigned:
    """`boxes` (n, 4) relative corners, `centres` (n, 2) mean x and y of the objects' pixels, in pixels."""
    labels = torch.full((sum(grid * grid for grid in grids),), num_classes, dtype=torch.int64)
    cells: list[int] = []
    objects: list[int] = []
    h, w = input_hw
    sizes = ((boxes[:, 2:] - boxes[:, :2]) * boxes.new_tensor([w, h])).tolist()
    places = centres.tolist()
    first = 0
    for grid, (least, most) in zip(grids, scale_ranges(input_hw), strict=True):
        for k, (size, place) in enumerate(zip(sizes, places, strict=True)):
            if least <= sqrt(size[0] * size[1]) <= most:
                columns, rows = (
                    _reach(place[axis], size[axis], side, grid) for axis, side in ((0, w), (1, h))
                )
                own = [first + row * grid + column for row in rows for column in columns]
                labels[own] = classes[k].cpu()
                cells += own
                objects += [k] * len(own)
        first += grid * grid
    numbers = torch.tensor([cells, objects], dtype=torch.int64, device=boxes.device)
    return Assigned(labels.to(boxes.device), numbers[0], numbers[1])


def _reach(centre: float, size: float, side: int, grid: int) -> range:
    """Cells along one axis that the central region touches: the centre's own and at most its neighbours."""
    own = _cell(centre, side, grid)
    low, high = (_cell(centre + sign * 0.5 * CENTRE_SHARE * size, side, grid) for sign in (-1, 1))
    return range(max(0, low, own - 1), min(grid - 1, high, own + 1) + 1)


def _cell(place: float, side: int, grid: int) -> int:
    return int((place / side) // (1 / grid))
