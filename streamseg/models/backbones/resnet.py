"""Residual networks with the attribute names of dbolya/yolact, so that its state_dicts load.

Tested in tests/models/yolact/test_yolact_variants.py.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from streamseg.models.backbones.darknet import DarkNet
from streamseg.models.backbones.efficientnet import EfficientNetLite
from streamseg.models.deform import DeformConv
from streamseg.models.yolact.config import YolactConfig

__all__ = ["ResNet", "ResNetConfig", "make_backbone"]


class ResNetConfig(Protocol):
    """What a ResNet needs of its network's configuration; YolactConfig says what each means."""

    @property
    def block(self) -> str: ...
    @property
    def stem(self) -> str: ...
    @property
    def stem_width(self) -> int: ...
    @property
    def stage_widths(self) -> tuple[int, ...]: ...
    @property
    def stage_blocks(self) -> tuple[int, ...]: ...
    @property
    def deform_interval(self) -> int: ...


RESNEXT_GROUPS = 64
"""Of ResNeXt-101 64 × 4d: groups of 4 channels in the first stage, where `width` is 256."""


class Bottleneck(nn.Module):
    """1×1, 3×3 (carries the stride, may be deformable), 1×1; the inner width is a quarter of `width`, that
    of a ResNeXt, in groups, all of it."""

    def __init__(
        self,
        width_in: int,
        width: int,
        stride: int,
        downsample: nn.Module | None,
        *,
        deform: bool = False,
        resnext: bool = False,
    ) -> None:
        super().__init__()
        inner, groups = (width, RESNEXT_GROUPS) if resnext else (width // 4, 1)
        self.conv1 = nn.Conv2d(width_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2: nn.Module = (
            DeformConv(inner, inner, stride, groups=groups)
            if deform
            else nn.Conv2d(inner, inner, 3, stride, padding=1, groups=groups, bias=False)
        )
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


def make_stage(
    config: ResNetConfig, width_in: int, width: int, blocks: int, stride: int, *, deform: bool
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(blocks):
        downsample = None
        if i == 0 and (stride != 1 or width_in != width):
            downsample = nn.Sequential(
                nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        if config.block == "basic":
            layers.append(BasicBlock(width_in, width, stride, downsample))
        else:
            samples = deform and i % config.deform_interval == 0
            resnext = config.block == "resnext"
            layers.append(Bottleneck(width_in, width, stride, downsample, deform=samples, resnext=resnext))
        width_in, stride = width, 1
    return nn.Sequential(*layers)


class ResNet(nn.Module):
    """Feature maps at strides 8, 16 and 32 of an image (B, 3, h, w)."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        size = 7 if config.stem == "conv7_pool" else 3
        self.conv1 = nn.Conv2d(3, config.stem_width, size, 2, padding=size // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(config.stem_width)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if config.stem == "conv7_pool" else nn.Identity()
        self.layers = nn.ModuleList()
        width_in = config.stem_width
        for i, (width, blocks) in enumerate(zip(config.stage_widths, config.stage_blocks, strict=True)):
            stride = 1 if i == 0 and config.stem == "conv7_pool" else 2
            deform = i > 0 and config.deform_interval > 0
            self.layers.append(make_stage(config, width_in, width, blocks, stride, deform=deform))
            width_in = width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.stages(x)
        return maps[-3], maps[-2], maps[-1]

    def stages(self, x: Tensor) -> list[Tensor]:
        """The map of every stage, the first at stride 4."""
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        maps: list[Tensor] = []
        for stage in self.layers:
            x = cast(Tensor, stage(x))
            maps.append(x)
        return maps


def make_backbone(config: YolactConfig) -> ResNet | DarkNet | EfficientNetLite:
    """The backbone of a configuration, with random weights."""
    match config.block:
        case "darknet":
            return DarkNet(config)
        case "efficientnet_lite0":
            return EfficientNetLite()
        case _:
            return ResNet(config)
