"""What SOLO and SOLOv2 share between the backbone and the heads. Tested in tests/models/solo/test_solov2.py.

Parameter names are mmdetection's; `streamseg.models.weights.solo_layouts` renames published weights.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from streamseg.models.deform import DeformConv
from streamseg.models.solo.config import SoloConfig

__all__ = [
    "ConvNorm",
    "Neck",
    "coordinates",
    "doubled",
    "head_levels",
    "per_cell",
    "resize",
    "tower",
]

NORM_GROUPS = 32


def coordinates(x: Tensor) -> Tensor:
    """(B, 2, h, w), the columns' and rows' places in −1…1, ends included, for a map (B, _, h, w).

    h and w are numbers at export, so this is a constant of the graph.
    """
    batch, _, height, width = x.shape
    across = torch.linspace(-1, 1, width, device=x.device).expand(1, 1, height, width)
    down = torch.linspace(-1, 1, height, device=x.device).unsqueeze(-1).expand(1, 1, height, width)
    return torch.cat([across, down], dim=1).to(x.dtype).expand(batch, 2, height, width)


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


def tower(width_in: int, config: SoloConfig) -> nn.ModuleList:
    """Convolutions of one branch, with the deformable ones last."""
    width, depth = config.tower_width, config.tower_depth
    return nn.ModuleList(
        ConvNorm(width if i else width_in, width, deform=i >= depth - config.tower_deform)
        for i in range(depth)
    )


def doubled(x: Tensor) -> Tensor:
    """Bilinear, twice the size."""
    return resize(x, (2 * x.shape[2], 2 * x.shape[3]))


def head_levels(levels: list[Tensor]) -> list[Tensor]:
    """The levels at strides 4, 8, 16, 32, 64 as the towers see them: at strides 8, 8, 16, 32, 32."""
    half = (levels[0].shape[2] // 2, levels[0].shape[3] // 2)
    same = (levels[3].shape[2], levels[3].shape[3])
    return [resize(levels[0], half), *levels[1:4], resize(levels[4], same)]


def per_cell(x: Tensor, convs: nn.ModuleList, last: nn.Conv2d) -> Tensor:
    """(B, grid², k) from a level resized to its grid, by a tower and its last convolution."""
    for conv in convs:
        x = conv(x)
    return cast(Tensor, last(x)).flatten(2).transpose(1, 2)
