"""RTMDet-Ins' heads: per location the classes, the box and the kernel that draws its mask.

Names are mmdetection's but for the tower of classes and boxes (`streamseg.models.weights.rtmdet_layout`).
Tested in tests/models/rtmdet/test_network.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from streamseg.models.levels import flat_rows
from streamseg.models.rtmdet.config import MASK_CHANNELS, STRIDES
from streamseg.models.rtmdet.layers import ConvNormSilu

__all__ = ["KERNEL_PARTS", "RtmDetHead", "RtmDetHeads"]

TOWER = 2
"""Convolutions of a tower."""
MASK_TOWER = 4
KERNEL_PARTS = (
    MASK_CHANNELS * (MASK_CHANNELS + 2),
    MASK_CHANNELS * MASK_CHANNELS,
    MASK_CHANNELS,
    MASK_CHANNELS,
    MASK_CHANNELS,
    1,
)
"""How a kernel is cut: the weights of three 1×1 convolutions, the first of which takes a cell's place (x, y)
before the features, and then their biases."""


class RtmDetHeads(NamedTuple):
    """What the network says before any decoding. P locations, C classes, level by level, row by row."""

    logits: Tensor
    """(B, P, C) of the classes."""
    distances: Tensor
    """(B, P, 4) from the location to left, top, right and bottom, pixels of the input, at least 0."""
    kernels: Tensor
    """(B, P, 169), cut as KERNEL_PARTS says."""
    features: Tensor
    """(B, 8, h/8, w/8) what all masks are drawn from."""


class MaskFeatures(nn.Module):
    """All levels at the finest one's size → (B, 8, h/8, w/8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fusion_conv = nn.Conv2d(width * len(STRIDES), width, 1)
        self.stacked_convs = nn.Sequential(*(ConvNormSilu(width, width, 3) for _ in range(MASK_TOWER)))
        self.projection = nn.Conv2d(width, MASK_CHANNELS, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        size = levels[0].shape[2:]
        others = [interpolate(x, size=size, mode="bilinear", align_corners=False) for x in levels[1:]]
        y: Tensor = self.projection(self.stacked_convs(self.fusion_conv(torch.cat([levels[0], *others], 1))))
        return y


class RtmDetHead(nn.Module):
    """Every level has its own layers but for the convolutions of the tower that classes and boxes share."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.cls_convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(TOWER)
        )
        self.cls_norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(width) for _ in range(TOWER)) for _ in STRIDES
        )
        self.kernel_convs = nn.ModuleList(
            nn.Sequential(*(ConvNormSilu(width, width, 3) for _ in range(TOWER))) for _ in STRIDES
        )
        self.rtm_cls = nn.ModuleList(nn.Conv2d(width, classes, 1) for _ in STRIDES)
        self.rtm_reg = nn.ModuleList(nn.Conv2d(width, 4, 1) for _ in STRIDES)
        self.rtm_kernel = nn.ModuleList(nn.Conv2d(width, sum(KERNEL_PARTS), 1) for _ in STRIDES)
        self.mask_head = MaskFeatures(width)

    def forward(self, levels: Sequence[Tensor]) -> RtmDetHeads:
        """Raw heads of levels (B, width, …), from the finest to the coarsest."""
        towers = [self._tower(i, x) for i, x in enumerate(levels)]
        shaped = [tower(x) for tower, x in zip(self.kernel_convs, levels, strict=True)]
        sides = [
            self.rtm_reg[i](x).relu() * stride
            for i, (x, stride) in enumerate(zip(towers, STRIDES, strict=True))
        ]
        return RtmDetHeads(
            logits=flat_rows([layer(x) for layer, x in zip(self.rtm_cls, towers, strict=True)]),
            distances=flat_rows(sides),
            kernels=flat_rows([layer(x) for layer, x in zip(self.rtm_kernel, shaped, strict=True)]),
            features=self.mask_head(levels),
        )

    def _tower(self, level: int, x: Tensor) -> Tensor:
        norms = self.cls_norms[level]
        assert isinstance(norms, nn.ModuleList)
        for conv, norm in zip(self.cls_convs, norms, strict=True):
            x = silu(norm(conv(x)))
        return x
