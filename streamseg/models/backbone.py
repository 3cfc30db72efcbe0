"""Residual networks with the attribute names of dbolya/yolact, so that its state_dicts load."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from streamseg.models.config import YolactConfig

__all__ = ["ResNet"]


class Bottleneck(nn.Module):
    """1×1, 3×3 (carries the stride), 1×1; the inner width is a quarter of `width`."""

    def __init__(self, width_in: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        inner = width // 4
        self.conv1 = nn.Conv2d(width_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(y + shortcut)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions, the first carries the stride."""

    def __init__(self, width_in: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(y + shortcut)


BLOCKS: dict[str, type[Bottleneck] | type[BasicBlock]] = {"bottleneck": Bottleneck, "basic": BasicBlock}


def make_stage(block: str, width_in: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    downsample = None
    if stride != 1 or width_in != width:
        downsample = nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
    first = BLOCKS[block](width_in, width, stride, downsample)
    return nn.Sequential(first, *(BLOCKS[block](width, width, 1, None) for _ in range(blocks - 1)))


class ResNet(nn.Module):
    """Feature maps at strides 8, 16 and 32 of an image (B, 3, h, w)."""

    def __init__(self, config: YolactConfig) -> None:
        super().__init__()
        size = 7 if config.stem == "conv7_pool" else 3
        self.conv1 = nn.Conv2d(3, config.stem_width, size, 2, padding=size // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(config.stem_width)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if config.stem == "conv7_pool" else nn.Identity()
        strides = (1 if config.stem == "conv7_pool" else 2, 2, 2, 2)
        self.layers = nn.ModuleList()
        width_in = config.stem_width
        for width, blocks, stride in zip(config.stage_widths, config.stage_blocks, strides, strict=True):
            self.layers.append(make_stage(config.block, width_in, width, blocks, stride))
            width_in = width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        maps: list[Tensor] = []
        for stage in self.layers:
            x = cast(Tensor, stage(x))
            maps.append(x)
        return maps[1], maps[2], maps[3]
