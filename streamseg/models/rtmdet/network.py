"""RTMDet-Ins.

Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors" (2022), in the form of
mmdetection's `RTMDetInsSepBNHead`, whose published weights it takes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamseg.models.rtmdet.backbone import CspNext
from streamseg.models.rtmdet.config import STRIDES, RtmDetConfig
from streamseg.models.rtmdet.head import RtmDetHead, RtmDetHeads
from streamseg.models.rtmdet.neck import CspPyramid

__all__ = ["RtmDet", "rtmdet_points"]


class RtmDet(nn.Module):
    """The network of an `RtmDetConfig`, for inputs whose sides are multiples of 32."""

    def __init__(self, config: RtmDetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = CspNext(config.stage_widths, config.stage_blocks)
        self.neck = CspPyramid(config.stage_widths[1:], config.neck_width, config.neck_blocks)
        self.head = RtmDetHead(config.neck_width, len(config.classes))

    def forward(self, x: Tensor) -> RtmDetHeads:
        """Raw heads of images (B, 3, h, w) float32, RGB, normalised by the config's mean and std."""
        heads: RtmDetHeads = self.head(self.neck(*self.backbone(x)))
        return heads


def rtmdet_points(input_hw: tuple[int, int]) -> Tensor:
    """(P, 3) float32: every location, x y in pixels of the input, and its stride. A location is the corner of
    its cell, not the centre."""
    parts = []
    for stride in STRIDES:
        y, x = (torch.arange(side // stride) * float(stride) for side in input_hw)
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flatten(0, 1).flip(1)
        parts.append(torch.cat((grid, torch.full((len(grid), 1), float(stride))), 1))
    return torch.cat(parts)
