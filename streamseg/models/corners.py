"""Boxes in a tail: compared with each other, and as windows on a grid of cells.

Tested in tests/models/yolact/test_tail.py.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["CROP_MARGIN", "LEVELS", "NMS_IOU", "Corners", "excess", "inside"]

NMS_IOU = 0.5
CROP_MARGIN = 1.0
"""Cells of the mask kept beyond each side of the box."""
LEVELS = 255.9998
"""What a probability of 1 is before its fraction is cut off: 256 equal steps, without the pass over all masks
that rounding takes. A hair below 256, so that one half, which all prototypes being 0 gives and which is not
inside, goes to 127 and not to 128."""


class Corners(NamedTuple):
    """Boxes as four planes of one shape. Kept apart because an innermost axis of 4 (or 2) defeats
    vectorisation: with (…, 2) tensors the comparison of boxes takes four times as long."""

    x1: Tensor
    y1: Tensor
    x2: Tensor
    y2: Tensor

    def part(self, start: int, stop: int) -> Corners:
        """Entries `start` to `stop` of the last axis."""
        return Corners(*(plane[..., start:stop] for plane in self))

    def gather(self, index: Tensor) -> Corners:
        """Entries `index` (B, …) of planes (B, P) → planes of the index's shape."""
        return Corners(*(plane.gather(1, index.flatten(1)).view_as(index) for plane in self))


def excess(rows: Corners, area: Tensor, columns: Corners) -> Tensor:
    """Intersection of each row's box with each column's, minus `area` of the row → (B, C, r, c)."""
    one, other = (Corners(*(p.unsqueeze(d) for p in c)) for d, c in ((-1, rows), (-2, columns)))
    width = torch.minimum(one.x2, other.x2) - torch.maximum(one.x1, other.x1)
    height = torch.minimum(one.y2, other.y2) - torch.maximum(one.y1, other.y1)
    # Only one side is clamped: a negative height then makes the product negative, never an overlap.
    return width.clamp(min=0) * height - area.unsqueeze(-1)


def inside(low: Tensor, high: Tensor, size: int) -> Tensor:
    """(B, K) edges in cells → (B, K, size), true for cells in [low − 1, high + 1)."""
    cell = torch.arange(size, dtype=low.dtype, device=low.device)
    low, high = low.unsqueeze(-1), high.unsqueeze(-1)
    return (cell >= low - CROP_MARGIN) & (cell < high + CROP_MARGIN)
