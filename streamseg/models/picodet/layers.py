"""Layers that all parts of PicoDet are made of.

Tested in tests/models/picodet/test_network.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import hardswish

__all__ = ["ConvNormSwish", "Separable"]


class ConvNormSwish(nn.Module):
    """A convolution without bias, batch normalisation, and a hard swish unless `linear`."""

    def __init__(
        self,
        width_in: int,
        width: int,
        size: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, size, stride, size // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.groups > 1 and self.conv.weight.requires_grad and _learns_in_bfloat16_on_cpu(x):
            # Gradients of depthwise kernels in bfloat16 take up to 15 times as long as these.
            with torch.autocast("cpu", enabled=False):
                y: Tensor = self.norm(self.conv(x.float())).to(x.dtype)
        else:
            y = self.norm(self.conv(x))
        return y if self.linear else hardswish(y)


class Separable(nn.Module):
    """A depthwise convolution and a 1×1 one, each with normalisation and activation."""

    def __init__(self, width_in: int, width: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvNormSwish(width_in, width_in, size, stride=stride, groups=width_in)
        self.pointwise = ConvNormSwish(width_in, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


def _learns_in_bfloat16_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()
