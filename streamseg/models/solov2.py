"""SOLOv2: every cell of five grids says what its object is and gives the kernel that draws its mask.

Wang et al., "SOLOv2: Dynamic and Fast Instance Segmentation" (2020). Parameter names below the backbone
are mmdetection's without their prefix; `streamseg.models.solo_layouts` renames published weights.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from streamseg.models.backbone import Bottleneck, ResNet
from streamseg.models.deform import DeformConv
from streamseg.models.solo_config import SoloConfig

__all__ = ["SoloHeads", "SoloV2"]

NORM_GROUPS = 32


class SoloHeads(NamedTuple):
    """What the network says before any decoding. N cells (levels one after the other, row by row)."""

    category: Tensor
    """(B, N, C) class logits."""
    kernel: Tensor
    """(B, N, D) weights of the 1×1 convolution that draws the cell's mask."""
    features: Tensor
    """(B, D, h/4, w/4) what it is applied to; the product is a mask's logits."""


def coordinates(x: Tensor) -> Tensor:
    """(B, 2, h, w), the columns' and rows' places in −1…1, ends included, for a map (B, _, h, w).

    h and w are numbers at export, so this is a constant of the graph.
    """
    batch, _, height, width = x.shape
    across = torch.linspace(-1, 1, width, device=x.device).expand(1, 1, height, width)
    down = torch.linspace(-1, 1, height, device=x.device).unsqueeze(-1).expand(1, 1, height, width)
    return torch.cat([across, down], dim=1).expand(batch, 2, height, width)


def resize(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bilinear, half-pixel centres."""
    return interpolate(x, size=size_hw, mode="bilinear", align_corners=False)


class ConvNorm(nn.Module):
    """Convolution without bias, group normalisation, ReLU."""

    def __init__(self, width_in: int, width: int, size: int = 3, *, deform: bool = False) -> None:
        super().__init__()
        self.conv: nn.Module = (
            DeformConv(width_in, width, 1, size)
            if deform
            else nn.Conv2d(width_in, width, size, padding=size // 2, bias=False)
        )
        self.gn = nn.GroupNorm(NORM_GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.gn(self.conv(x)))


class PlainConv(nn.Module):
    """A convolution under the name that the published weights give it."""

    def __init__(self, width_in: int, width: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, size, padding=size // 2)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(x))


class Neck(nn.Module):
    """Feature pyramid with nearest upsampling and no activation: strides 4, 8, 16, 32 and 64."""

    def __init__(self, config: SoloConfig) -> None:
        super().__init__()
        width = config.fpn_width
        self.lateral_convs = nn.ModuleList(PlainConv(w, width, 1) for w in config.stage_widths)
        self.fpn_convs = nn.ModuleList(PlainConv(width, width, 3) for _ in config.stage_widths)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        levels = [cast(Tensor, lateral(x)) for lateral, x in zip(self.lateral_convs, maps, strict=True)]
        for i in range(len(levels) - 1, 0, -1):
            levels[i - 1] = levels[i - 1] + interpolate(levels[i], size=levels[i - 1].shape[2:])
        levels = [conv(x) for conv, x in zip(self.fpn_convs, levels, strict=True)]
        return [*levels, max_pool2d(levels[-1], kernel_size=1, stride=2)]


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
                    x = resize(x, (2 * x.shape[2], 2 * x.shape[3]))
            total = x if total is None else total + x
        return cast(Tensor, self.conv_pred(total))


def tower(width_in: int, config: SoloConfig) -> nn.ModuleList:
    width, depth = config.tower_width, config.tower_depth
    return nn.ModuleList(
        ConvNorm(width if i else width_in, width, deform=i >= depth - config.tower_deform)
        for i in range(depth)
    )


class SoloV2Head(nn.Module):
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

    def forward(self, levels: list[Tensor]) -> SoloHeads:
        """`levels` at strides 4, 8, 16, 32, 64."""
        features = self.mask_feature_head(levels[:4])
        half = (levels[0].shape[2] // 2, levels[0].shape[3] // 2)
        same = (levels[3].shape[2], levels[3].shape[3])
        towers = [resize(levels[0], half), *levels[1:4], resize(levels[4], same)]
        rows = [self._cells(x, grid) for x, grid in zip(towers, self.grids, strict=True)]
        category, kernel = (torch.cat(parts, dim=1) for parts in zip(*rows, strict=True))
        return SoloHeads(category, kernel, features)

    def _cells(self, x: Tensor, grid: int) -> tuple[Tensor, Tensor]:
        """(B, grid², C) and (B, grid², D). Coordinates are attached before the map is resized."""
        kernel = resize(torch.cat([x, coordinates(x)], dim=1), (grid, grid))
        category = kernel[:, :-2]
        for conv in self.kernel_convs:
            kernel = conv(kernel)
        for conv in self.cls_convs:
            category = conv(category)
        maps = self.conv_cls(category), self.conv_kernel(kernel)
        first, second = (m.flatten(2).transpose(1, 2) for m in maps)
        return first, second


def stride_in_first(backbone: ResNet) -> None:
    """Move the strides of all bottlenecks from their 3×3 to their first convolution."""
    for block in backbone.modules():
        if isinstance(block, Bottleneck):
            second = cast(nn.Conv2d, block.conv2)
            block.conv1.stride, second.stride = second.stride, (1, 1)


class SoloV2(nn.Module):
    """The network of a `SoloConfig`, for inputs of `config.input_hw`."""

    def __init__(self, config: SoloConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet(config)
        if config.stride_in_1x1:
            stride_in_first(self.backbone)
        self.neck = Neck(config)
        self.head = SoloV2Head(config)

    def forward(self, x: Tensor) -> SoloHeads:
        """Raw heads of images (B, 3, h, w) float32, RGB, normalised by the config's mean and std."""
        heads: SoloHeads = self.head(self.neck(self.backbone.stages(x)))
        return heads
