"""RTMDet's neck: a pyramid down and up again, then all levels of one width, under mmdetection's names.

Tested in tests/models/rtmdet/test_network.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from streamseg.models.levels import twice
from streamseg.models.rtmdet.layers import ConvNormSilu, CspLayer

__all__ = ["CspPyramid"]


def joint(width_in: int, width: int, blocks: int) -> CspLayer:
    """Two maps, one behind the other in channels, made one."""
    return CspLayer(width_in, width, blocks, residual=False, attention=False)


class CspPyramid(nn.Module):
    """Maps of strides 8, 16, 32 → levels of the same strides, each (B, width, …)."""

    def __init__(self, widths: Sequence[int], width: int, blocks: int) -> None:
        """`widths` of the maps, from the finest on."""
        super().__init__()
        fine, middle, coarse = widths
        self.reduce_layers = nn.ModuleList([ConvNormSilu(coarse, middle), ConvNormSilu(middle, fine)])
        self.top_down_blocks = nn.ModuleList(
            [joint(2 * middle, middle, blocks), joint(2 * fine, fine, blocks)]
        )
        self.downsamples = nn.ModuleList(ConvNormSilu(w, w, 3, stride=2) for w in (fine, middle))
        self.bottom_up_blocks = nn.ModuleList(
            [joint(2 * fine, middle, blocks), joint(2 * middle, coarse, blocks)]
        )
        self.out_convs = nn.ModuleList(ConvNormSilu(w, width, 3) for w in widths)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> list[Tensor]:
        """Levels from the finest to the coarsest."""
        coarse = self.reduce_layers[0](coarse)
        middle = self.reduce_layers[1](self.top_down_blocks[0](torch.cat((twice(coarse), middle), 1)))
        levels = [self.top_down_blocks[1](torch.cat((twice(middle), fine), 1))]
        for halve, join, x in zip(self.downsamples, self.bottom_up_blocks, (middle, coarse), strict=True):
            levels.append(join(torch.cat((halve(levels[-1]), x), 1)))
        return [mix(x) for mix, x in zip(self.out_convs, levels, strict=True)]
