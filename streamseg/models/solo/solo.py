"""SOLO and SOLOv2: every cell of five grids says what its object is, and has a mask.

Wang et al., "SOLO: Segmenting Objects by Locations" (2019), and "SOLOv2" (2020), whose own heads are in
`streamseg.models.solo.solov2`. Parameter names below the backbone are mmdetection's without their prefix.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from streamseg.models.backbones.resnet import Bottleneck, ResNet
from streamseg.models.solo.config import SoloConfig
from streamseg.models.solo.parts import Neck, coordinates, doubled, head_levels, per_cell, resize, tower
from streamseg.models.solo.solov2 import DynamicHead, DynamicHeads

__all__ = ["CellHeads", "DecoupledHeads", "Solo"]


class CellHeads(NamedTuple):
    """What SOLO says before any decoding. N cells (levels one after the other, row by row)."""

    category: Tensor
    """(B, N, C) class logits."""
    kernel: Tensor
    """(N, D) weights of the 1×1 convolution that draws the cell's mask, the same for every picture."""
    bias: Tensor
    """(N,) its biases."""
    features: tuple[Tensor, ...]
    """(B, D, h, w) of each level, the first at stride 4: what a cell of that level is drawn on."""


class DecoupledHeads(NamedTuple):
    """What decoupled SOLO says before any decoding: a mask is one of a column times one of a row."""

    category: Tensor
    """(B, N, C) class logits."""
    columns: tuple[Tensor, ...]
    """(B, grid, h, w) of each level, the first at stride 4: logits of the cells' columns."""
    rows: tuple[Tensor, ...]
    """The same of their rows."""


class CellHead(nn.Module):
    """Classes of every cell, and what their masks are drawn on. Towers are shared between levels."""

    def __init__(self, config: SoloConfig) -> None:
        super().__init__()
        self.grids = config.grids
        self.mask_convs = tower(config.fpn_width + 2, config)
        self.cls_convs = tower(config.fpn_width, config)
        self.conv_mask_list = nn.ModuleList(nn.Conv2d(config.tower_width, grid**2, 1) for grid in self.grids)
        self.conv_cls = nn.Conv2d(config.tower_width, len(config.classes), 3, padding=1)

    def forward(self, levels: list[Tensor]) -> CellHeads:
        """`levels` at strides 4, 8, 16, 32, 64."""
        levels = head_levels(levels)
        last = [cast(nn.Conv2d, conv) for conv in self.conv_mask_list]
        return CellHeads(
            category=categories(levels, self.grids, self.cls_convs, self.conv_cls),
            kernel=torch.cat([conv.weight.flatten(1) for conv in last]),
            bias=torch.cat([cast(Tensor, conv.bias) for conv in last]),
            features=tuple(drawn_on(x, coordinates(x), self.mask_convs) for x in levels),
        )


class DecoupledHead(nn.Module):
    """Classes of every cell, and a mask of every column and row. Towers are shared between levels."""

    def __init__(self, config: SoloConfig) -> None:
        super().__init__()
        self.grids = config.grids
        self.shared = config.head == "decoupled_light"
        if self.shared:
            self.mask_convs = tower(config.fpn_width + 2, config)
        else:
            self.mask_convs_x, self.mask_convs_y = (tower(config.fpn_width + 1, config) for _ in range(2))
        self.cls_convs = tower(config.fpn_width, config)
        self.conv_mask_list_x, self.conv_mask_list_y = (
            nn.ModuleList(nn.Conv2d(config.tower_width, grid, 3, padding=1) for grid in self.grids)
            for _ in range(2)
        )
        self.conv_cls = nn.Conv2d(config.tower_width, len(config.classes), 3, padding=1)

    def forward(self, levels: list[Tensor]) -> DecoupledHeads:
        """`levels` at strides 4, 8, 16, 32, 64."""
        levels = head_levels(levels)
        last = zip(self.conv_mask_list_x, self.conv_mask_list_y, strict=True)
        masks = [
            (to_columns(x), to_rows(y))
            for (to_columns, to_rows), (x, y) in zip(last, map(self._drawn_on, levels), strict=True)
        ]
        return DecoupledHeads(
            category=categories(levels, self.grids, self.cls_convs, self.conv_cls),
            columns=tuple(columns for columns, _ in masks),
            rows=tuple(rows for _, rows in masks),
        )

    def _drawn_on(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """What columns and rows are drawn on."""
        place = coordinates(level)
        if self.shared:
            both = drawn_on(level, place, self.mask_convs)
            return both, both
        columns = drawn_on(level, place[:, :1], self.mask_convs_x)
        return columns, drawn_on(level, place[:, 1:], self.mask_convs_y)


def categories(levels: list[Tensor], grids: tuple[int, ...], convs: nn.ModuleList, last: nn.Conv2d) -> Tensor:
    """(B, N, C) class logits of all cells."""
    maps = (resize(x, (grid, grid)) for x, grid in zip(levels, grids, strict=True))
    return torch.cat([per_cell(x, convs, last) for x in maps], dim=1)


def drawn_on(level: Tensor, place: Tensor, convs: nn.ModuleList) -> Tensor:
    """(B, D, 2h, 2w) from a level (B, _, h, w) and its coordinates."""
    x = torch.cat([level, place], dim=1)
    for conv in convs:
        x = conv(x)
    return doubled(x)


def stride_in_first(backbone: ResNet) -> None:
    """Move the strides of all bottlenecks from their 3×3 to their first convolution."""
    for block in backbone.modules():
        if isinstance(block, Bottleneck):
            second = cast(nn.Conv2d, block.conv2)
            block.conv1.stride, second.stride = second.stride, (1, 1)


HEADS = {
    "dynamic": DynamicHead,
    "cells": CellHead,
    "decoupled": DecoupledHead,
    "decoupled_light": DecoupledHead,
}


class Solo(nn.Module):
    """The network of a `SoloConfig`, for inputs of `config.input_hw`."""

    def __init__(self, config: SoloConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet(config)
        if config.stride_in_1x1:
            stride_in_first(self.backbone)
        self.neck = Neck(config)
        self.head = HEADS[config.head](config)

    def forward(self, x: Tensor) -> DynamicHeads | CellHeads | DecoupledHeads:
        """Raw heads of images (B, 3, h, w) float32, RGB, normalised by the config's mean and std."""
        heads: DynamicHeads | CellHeads | DecoupledHeads = self.head(self.neck(self.backbone.stages(x)))
        return heads
