"""RoIAlign (He et al., 2017) over a pyramid in one operation of fixed shape.

Each box is looked at in one level. To choose by index would take as many operations as there are levels and
shapes that depend on the picture, or every box in every level: so the levels are laid out on one map, and the
boxes are moved to where their level lies. Tested in tests/models/rcnn/test_roi_align.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.ops import roi_align

from streamseg.models.corners import Corners
from streamseg.models.rcnn.config import RcnnNumerics

__all__ = ["PyramidMap"]

FINEST_SIDE = 56.0
"""Pixels; from twice this on boxes are looked at in the second level, and so on (Lin et al., 2017, eq. 1)."""
FINEST_STRIDE = 4
HAIR = 1e-6


class PyramidMap:
    """Levels of strides 4, 8, 16, …, on one map. Each has a border that repeats its outermost cells, which is
    what RoIAlign takes beyond them."""

    def __init__(self, levels: Sequence[Tensor]) -> None:
        """`levels`: (B, channels, h, w) each, the finest first."""
        first, *rest = (pad(level, (1, 1, 1, 1), mode="replicate") for level in levels)
        rows = rest[0].shape[2]
        second = torch.cat([pad(level, (0, 0, 0, rows - level.shape[2])) for level in rest], 3)
        width = max(first.shape[3], second.shape[3])
        self._map = torch.cat([pad(row, (0, width - row.shape[3], 0, 0)) for row in (first, second)], 2)
        places, x = [(1.0, 1.0)], 1.0
        for level in rest:
            places.append((x, first.shape[2] + 1.0))
            x += level.shape[3]
        self._places = torch.tensor(places, device=first.device)

    def pooled(self, boxes: Corners, bins: int, numerics: RcnnNumerics) -> Tensor:
        """(B · n, channels, bins, bins) of boxes (B, n) in pixels of the input."""
        level = self._levels(boxes)
        stride = FINEST_STRIDE * torch.exp2(level)
        x, y = self._places[level.long()].unbind(-1)
        corners = (
            boxes.x1 / stride + x,
            boxes.y1 / stride + y,
            boxes.x2 / stride + x,
            boxes.y2 / stride + y,
        )
        batch, count = level.shape
        image = torch.arange(batch, device=level.device, dtype=x.dtype).unsqueeze(1).expand(batch, count)
        rois = torch.stack((image, *corners), -1).reshape(-1, 5)
        result: Tensor = roi_align(
            self._map, rois, bins, sampling_ratio=numerics.samples or -1, aligned=numerics.aligned
        )
        return result

    def _levels(self, boxes: Corners) -> Tensor:
        side = ((boxes.x2 - boxes.x1) * (boxes.y2 - boxes.y1)).sqrt()
        return torch.log2(side / FINEST_SIDE + HAIR).floor().clamp(0, len(self._places) - 1)
