"""Convolution that samples where it chooses to (Zhu et al., "Deformable ConvNets v2", 2018).

Tested in tests/models/yolact/test_yolact_variants.py.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

__all__ = ["DeformConv"]


class DeformConv(nn.Module):
    """A convolution, padded to keep the size, with an offset and a weight of its own for every tap and place.

    Attribute names follow dbolya/yolact's DCN, where the one offset convolution gives 27 channels: for
    each tap, row by row, dy and dx in cells of `x`, then the nine weights before their sigmoid.
    """

    def __init__(self, width_in: int, width: int, stride: int, size: int = 3, groups: int = 1) -> None:
        super().__init__()
        self.stride, self.padding = stride, size // 2
        self.taps = size * size
        plain = nn.Conv2d(width_in, width, size, groups=groups)
        self.weight, self.bias = plain.weight, cast(nn.Parameter, plain.bias)
        self.conv_offset_mask = nn.Conv2d(width_in, 3 * self.taps, size, stride, padding=self.padding)
        # Training begins as the plain convolution, at half strength.
        nn.init.zeros_(self.conv_offset_mask.weight)
        nn.init.zeros_(cast(nn.Parameter, self.conv_offset_mask.bias))

    def forward(self, x: Tensor) -> Tensor:
        offset, weight = self.conv_offset_mask(x).split((2 * self.taps, self.taps), dim=1)
        # torchvision has no kernel for bfloat16 (0.29).
        dtype = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
        y = deform_conv2d(
            x.to(dtype),
            offset.to(dtype),
            self.weight.to(dtype),
            self.bias.to(dtype),
            (self.stride, self.stride),
            padding=(self.padding, self.padding),
            mask=torch.sigmoid(weight).to(dtype),
        )
        return cast(Tensor, y).to(x.dtype)
