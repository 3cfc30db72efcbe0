"""LCNet (Cui et al., "PP-LCNet: A Lightweight CPU Convolutional Neural Network", 2021), 0.75 as wide.

Tested in tests/models/picodet/test_network.py.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import hardsigmoid, relu

from streamseg.models.picodet.layers import ConvNormSwish

__all__ = ["BACKBONE_WIDTHS", "BackboneMaps", "LcNet"]

STEM_WIDTH = 16
# Of each stage its blocks: kernel size, output channels, stride, whether channels are weighted.
STAGES = (
    ((3, 24, 1, False),),
    ((3, 48, 2, False), (3, 48, 1, False)),
    ((3, 96, 2, False), (3, 96, 1, False)),
    ((3, 192, 2, False), *[(5, 192, 1, False)] * 5),
    ((5, 384, 2, True), (5, 384, 1, True)),
)
BACKBONE_WIDTHS = (48, 96, 192, 384)
"""Channels of the four maps."""


class BackboneMaps(NamedTuple):
    """(B, channels, h/stride, w/stride) each."""

    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    stride32: Tensor


class ChannelWeights(nn.Module):
    """Squeeze and excitation: each channel times a number from 0 to 1 that all channels' means decide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, width // 4, 1)
        self.excite = nn.Conv2d(width // 4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * hardsigmoid(self.excite(relu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """Depthwise convolution, channels weighted or not, 1×1 convolution."""

    def __init__(self, width_in: int, width: int, size: int, stride: int, *, weighted: bool) -> None:
        super().__init__()
        self.depthwise = ConvNormSwish(width_in, width_in, size, stride=stride, groups=width_in)
        self.weights = ChannelWeights(width_in) if weighted else nn.Identity()
        self.pointwise = ConvNormSwish(width_in, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.weights(self.depthwise(x)))
        return y


class LcNet(nn.Module):
    """Feature maps of an image (B, 3, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormSwish(3, STEM_WIDTH, 3, stride=2)
        self.stages = nn.ModuleList()
        width_in = STEM_WIDTH
        for blocks in STAGES:
            stage = nn.Sequential()
            for size, width, stride, weighted in blocks:
                stage.append(Block(width_in, width, size, stride, weighted=weighted))
                width_in = width
            self.stages.append(stage)

    def forward(self, x: Tensor) -> BackboneMaps:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return BackboneMaps(*maps[1:])
