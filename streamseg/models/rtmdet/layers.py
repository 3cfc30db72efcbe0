"""Layers that all parts of an RTMDet-Ins are made of, under mmdetection's names.

Tested in tests/models/rtmdet/test_network.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import hardsigmoid, max_pool2d, silu

__all__ = ["ConvNormSilu", "CspLayer", "PoolingPyramid"]

POOLS = (5, 9, 13)
BLOCK_KERNEL = 5


class ConvNormSilu(nn.Module):
    """A convolution without bias, batch normalisation, and SiLU."""

    def __init__(self, width_in: int, width: int, size: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, size, stride, size // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return silu(self.bn(self.conv(x)))


class WideSeparable(nn.Module):
    """A wide depthwise convolution and a 1×1 one, each with normalisation and activation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvNormSilu(width, width, BLOCK_KERNEL, groups=width)
        self.pointwise_conv = ConvNormSilu(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return y


class CspBlock(nn.Module):
    """What CSPNeXt repeats: a 3×3 convolution and a separable 5×5 one, added to their input if `residual`."""

    def __init__(self, width: int, *, residual: bool) -> None:
        super().__init__()
        self.conv1 = ConvNormSilu(width, width, 3)
        self.conv2 = WideSeparable(width)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return x + y if self.residual else y


class ChannelAttention(nn.Module):
    """Channels weighted by their means over the picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class CspLayer(nn.Module):
    """Half of the channels through `blocks` blocks, half past them, then both mixed."""

    def __init__(self, width_in: int, width: int, blocks: int, *, residual: bool, attention: bool) -> None:
        super().__init__()
        half = width // 2
        self.main_conv = ConvNormSilu(width_in, half)
        self.short_conv = ConvNormSilu(width_in, half)
        self.final_conv = ConvNormSilu(width, width)
        self.blocks = nn.Sequential(*(CspBlock(half, residual=residual) for _ in range(blocks)))
        self.attention = ChannelAttention(width) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat((self.blocks(self.main_conv(x)), self.short_conv(x)), 1)
        y: Tensor = self.final_conv(self.attention(both))
        return y


class PoolingPyramid(nn.Module):
    """Each cell with the strongest of its surroundings, at three sizes of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNormSilu(width, width // 2)
        self.conv2 = ConvNormSilu(width // 2 * (1 + len(POOLS)), width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        y: Tensor = self.conv2(torch.cat([x, *(max_pool2d(x, n, 1, n // 2) for n in POOLS)], 1))
        return y
