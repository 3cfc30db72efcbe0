"""CSPNeXt, RTMDet's backbone, under mmdetection's names.

Tested in tests/models/rtmdet/test_network.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from streamseg.models.rtmdet.layers import ConvNormSilu, CspLayer, PoolingPyramid

__all__ = ["CspNext"]


class CspNext(nn.Module):
    """Pictures → maps of strides 8, 16, 32."""

    def __init__(self, stage_widths: Sequence[int], stage_blocks: Sequence[int]) -> None:
        super().__init__()
        width = stage_widths[0] // 2
        self.stem = nn.Sequential(
            ConvNormSilu(3, width // 2, 3, stride=2),
            ConvNormSilu(width // 2, width // 2, 3),
            ConvNormSilu(width // 2, width, 3),
        )
        stages: list[nn.Module] = []
        for out, blocks in zip(stage_widths, stage_blocks, strict=True):
            last = len(stages) == len(stage_widths) - 1
            layers: list[nn.Module] = [ConvNormSilu(width, out, 3, stride=2)]
            if last:
                layers.append(PoolingPyramid(out))
            layers.append(CspLayer(out, out, blocks, residual=not last, attention=True))
            stages.append(nn.Sequential(*layers))
            width = out
        self.stage1, self.stage2, self.stage3, self.stage4 = stages

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride8 = self.stage2(self.stage1(self.stem(x)))
        stride16 = self.stage3(stride8)
        return stride8, stride16, self.stage4(stride16)
