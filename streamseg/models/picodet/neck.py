"""PicoDet's neck: a pyramid down and up again, all levels of one width (Yu et al., "PP-PicoDet", 2021).

Tested in tests/models/picodet/test_network.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamseg.models.levels import twice
from streamseg.models.picodet.backbone import BACKBONE_WIDTHS, BackboneMaps
from streamseg.models.picodet.layers import ConvNormSwish, Separable

__all__ = ["NECK_WIDTH", "PicoNeck"]

NECK_WIDTH = 96
KERNEL = 5


def level_joint(two: int, one: int) -> nn.Sequential:
    """Two maps of a level, one behind the other in channels, made one."""
    return nn.Sequential(Separable(two, two, KERNEL), Separable(two, one, KERNEL))


class PicoNeck(nn.Module):
    """Backbone maps → four levels of strides 8, 16, 32, 64, each (B, 96, …)."""

    def __init__(self) -> None:
        super().__init__()
        width = NECK_WIDTH
        self.laterals = nn.ModuleList(ConvNormSwish(w, width) for w in BACKBONE_WIDTHS[1:])
        self.extra_from_lateral = Separable(width, width, KERNEL, stride=2)
        self.extra_from_level = Separable(width, width, KERNEL, stride=2)
        self.down = nn.ModuleList(level_joint(2 * width, width) for _ in range(2))
        """From stride 32 to 16, then from 16 to 8."""
        self.halve = nn.ModuleList(Separable(width, width, KERNEL, stride=2) for _ in range(2))
        self.up = nn.ModuleList(level_joint(2 * width, width) for _ in range(2))
        """From stride 8 to 16, then from 16 to 32."""

    def forward(self, maps: BackboneMaps) -> list[Tensor]:
        """Levels from the finest to the coarsest."""
        stride8, stride16, stride32 = (lateral(x) for lateral, x in zip(self.laterals, maps[1:], strict=True))
        middle = self.down[0](torch.cat((twice(stride32), stride16), 1))
        levels = [self.down[1](torch.cat((twice(middle), stride8), 1))]
        for halve, join, x in zip(self.halve, self.up, (middle, stride32), strict=True):
            levels.append(join(torch.cat((halve(levels[-1]), x), 1)))
        levels.append(self.extra_from_lateral(stride32) + self.extra_from_level(levels[-1]))
        return levels
