"""SOLOv2's heads: every cell of five grids says what its object is and gives the kernel that draws its mask.

Wang et al., "SOLOv2: Dynamic and Fast Instance Segmentation" (2020).
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from streamseg.models.solo.config import SoloConfig
from streamseg.models.solo.parts import (
    ConvNorm,
    coordinates,
    doubled,
    head_levels,
    per_cell,
    resize,
    tower,
)

__all__ = ["DynamicHead", "DynamicHeads"]


class DynamicHeads(NamedTuple):
    """What SOLOv2 says before any decoding. N cells (levels one after the other, row by row)."""

    category: Tensor
    """(B, N, C) class logits."""
    kernel: Tensor
    """(B, N, D) weights of the 1×1 convolution that draws the cell's mask."""
    features: Tensor
    """(B, D, h/4, w/4) what it is applied to; the product is a mask's logits."""


class FeatureHead(nn.Module):
    """One map at stride 4 from the levels at strides 4 to 32, the coarsest with coordinates."""

    def __init__(self, config: SoloConfig) -> None:
        super().__init__()
        self.convs_all_levels = nn.ModuleList(self._level(config, i) for i in range(4))
        self.conv_pred = ConvNorm(
            config.feature_width, config.kernel_width, size=1, deform=config.feature_deform
        )

    @staticmethod
    def _level(config: SoloConfig, level: int) -> nn.ModuleDict:
        """Level i is doubled i times, after a convolution each."""
        first = config.fpn_width + (2 if level == 3 else 0)
        widths = [first, *[config.feature_width] * (max(level, 1) - 1)]
        return nn.ModuleDict(
            {
                f"conv{j}": ConvNorm(w, config.feature_width, deform=config.feature_deform)
                for j, w in enumerate(widths)
            }
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        total: Tensor | None = None
        for i, (convs, x) in enumerate(zip(self.convs_all_levels, levels, strict=True)):
            if i == 3:
                x = torch.cat([x, coordinates(x)], dim=1)
            for conv in cast(nn.ModuleDict, convs).values():
                x = conv(x)
                if i:
                    x = doubled(x)
            total = x if total is None else total + x
        return cast(Tensor, self.conv_pred(total))


class DynamicHead(nn.Module):
    """Classes and kernels of every cell, and the mask features. Weights are shared between levels."""

    def __init__(self, config: SoloConfig) -> None:
        super().__init__()
        self.grids = config.grids
        width = config.tower_width
        self.kernel_convs = tower(config.fpn_width + 2, config)
        self.cls_convs = tower(config.fpn_width, config)
        self.conv_cls = nn.Conv2d(width, len(config.classes), 3, padding=1)
        self.conv_kernel = nn.Conv2d(width, config.kernel_width, 3, padding=1)
        self.mask_feature_head = FeatureHead(config)

    def forward(self, levels: list[Tensor]) -> DynamicHeads:
        """`levels` at strides 4, 8, 16, 32, 64."""
        features = self.mask_feature_head(levels[:4])
        rows = [self._cells(x, grid) for x, grid in zip(head_levels(levels), self.grids, strict=True)]
        category, kernel = (torch.cat(parts, dim=1) for parts in zip(*rows, strict=True))
        return DynamicHeads(category, kernel, features)

    def _cells(self, x: Tensor, grid: int) -> tuple[Tensor, Tensor]:
        """(B, grid², C) and (B, grid², D). Coordinates are attached before the map is resized."""
        x = resize(torch.cat([x, coordinates(x)], dim=1), (grid, grid))
        category = per_cell(x[:, :-2], self.cls_convs, self.conv_cls)
        return category, per_cell(x, self.kernel_convs, self.conv_kernel)
