"""Darknet-53 (Redmon and Farhadi, "YOLOv3", 2018) with the attribute names of dbolya/yolact.

Tested in tests/models/yolact/test_yolact_variants.py.
"""

from __future__ import annotations

from torch import Tensor, nn

from streamseg.models.yolact.config import YolactConfig

__all__ = ["DarkNet"]

SLOPE = 0.1


def conv_layer(width_in: int, width: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, leaky ReLU; keeps the size but for the stride."""
    conv = nn.Conv2d(width_in, width, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.LeakyReLU(SLOPE))


class DarkBlock(nn.Module):
    """1×1 to half the width and 3×3 back; the shortcut joins behind the activation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv_layer(width, width // 2, 1)
        self.conv2 = conv_layer(width // 2, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return y + x


class DarkNet(nn.Module):
    """Feature maps at strides 8, 16 and 32 of an image (B, 3, h, w)."""

    def __init__(self, config: YolactConfig) -> None:
        super().__init__()
        self._preconv = conv_layer(3, config.stem_width, 3)
        self.layers = nn.ModuleList()
        width_in = config.stem_width
        for width, blocks in zip(config.stage_widths, config.stage_blocks, strict=True):
            self.layers.append(
                nn.Sequential(conv_layer(width_in, width, 3, 2), *(DarkBlock(width) for _ in range(blocks)))
            )
            width_in = width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self._preconv(x)
        maps: list[Tensor] = []
        for stage in self.layers:
            x = stage(x)
            maps.append(x)
        return maps[-3], maps[-2], maps[-1]
