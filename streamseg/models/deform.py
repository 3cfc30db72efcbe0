"""Convolution that samples where it chooses to (Zhu et al., "Deformable ConvNets v2", 2018)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

__all__ = ["DeformConv"]

TAPS = 9


class DeformConv(nn.Module):
    """A 3×3 convolution, padding 1, with an offset and a weight of its own for every tap and place.

    Attribute names follow dbolya/yolact's DCN, where the one offset convolution gives 27 channels: for
    each tap, row by row, dy and dx in cells of `x`, then the nine weights before their sigmoid.
    """

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        plain = nn.Conv2d(width_in, width, 3)
        self.weight, self.bias = plain.weight, cast(nn.Parameter, plain.bias)
        self.conv_offset_mask = nn.Conv2d(width_in, 3 * TAPS, 3, stride, padding=1)
        # Training begins as the plain convolution, at half strength.
        nn.init.zeros_(self.conv_offset_mask.weight)
        nn.init.zeros_(cast(nn.Parameter, self.conv_offset_mask.bias))

    def forward(self, x: Tensor) -> Tensor:
        offset, weight = self.conv_offset_mask(x).split((2 * TAPS, TAPS), dim=1)
        y = deform_conv2d(
            x,
            offset,
            self.weight,
            self.bias,
            (self.stride, self.stride),
            padding=(1, 1),
            mask=torch.sigmoid(weight),
        )
        return cast(Tensor, y)
