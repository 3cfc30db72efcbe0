"""PicoDet-S with a mask branch.

Yu et al., "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices" (2021); the detector takes the
published weights (`streamseg.models.picodet.paddle`).
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from streamseg.models.levels import flat_rows
from streamseg.models.picodet.backbone import BackboneMaps, LcNet
from streamseg.models.picodet.config import STRIDES, PicoDetConfig
from streamseg.models.picodet.head import LevelHead, LevelHeads
from streamseg.models.picodet.mask_branch import Coefficients, Prototypes
from streamseg.models.picodet.neck import PicoNeck

__all__ = ["PicoDet", "PicoHeads", "level_points"]


class PicoHeads(NamedTuple):
    """What the network says before any decoding. P locations, C classes, level by level, row by row."""

    logits: Tensor
    """(B, P, C) of the classes."""
    alignment: Tensor
    """(B, P, 1) logit of how well the box lies."""
    distribution: Tensor
    """(B, P, 4 · bins) logits of the sides' distances: left, top, right, bottom."""
    seen: Tensor
    """(B, P, 192) what `Coefficients` takes of a location."""
    proto: Tensor
    """(B, D, h/4, w/4) prototypes."""
    scenery: Tensor
    """(B, S, h/8, w/8) what it takes of a box."""


class PicoDet(nn.Module):
    """The network of a `PicoDetConfig`, for inputs whose sides are multiples of 32."""

    def __init__(self, config: PicoDetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = LcNet()
        self.neck = PicoNeck()
        self.heads = nn.ModuleList(LevelHead(len(config.classes), config.bins) for _ in STRIDES)
        self.prototypes = Prototypes(config)
        self.coefficients = Coefficients(config)
        """Not called here: it looks at chosen locations, in the tail."""
        self.steady = False
        """Whether the mask branch, too, keeps the statistics of its normalisations; see `train`."""

    @property
    def detector(self) -> tuple[nn.Module, ...]:
        """The parts that have published weights."""
        return self.backbone, self.neck, self.heads

    def train(self, mode: bool = True) -> Self:
        """As ever, but the detector, or if `steady` all of it, keeps the statistics of its normalisations: a
        batch of a few pictures has worse ones than the data it was trained on."""
        super().train(mode)
        for part in (*self.detector, *((self.prototypes,) if self.steady else ())):
            part.eval()
        return self

    def forward(self, x: Tensor) -> PicoHeads:
        """Raw heads of images (B, 3, h, w) float32, RGB, normalised by the config's mean and std."""
        maps = self.backbone(x)
        levels = self.neck(maps)
        said = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        return self.assemble(maps, levels, said)

    def assemble(self, maps: BackboneMaps, levels: list[Tensor], said: list[LevelHeads]) -> PicoHeads:
        """Raw heads of what the detector's parts gave, with the mask branch's part."""
        proto, scenery = self.prototypes(levels, maps.stride4)
        return PicoHeads(
            logits=flat_rows([heads.logits for heads in said]),
            alignment=flat_rows([heads.alignment for heads in said]),
            distribution=flat_rows([heads.distribution for heads in said]),
            seen=flat_rows(
                [torch.cat((level, heads.tower), 1) for level, heads in zip(levels, said, strict=True)]
            ),
            proto=proto,
            scenery=scenery,
        )


def level_points(input_hw: tuple[int, int]) -> Tensor:
    """(P, 3) float32: the centre of every location, x y in pixels of the input, and its stride."""
    parts = []
    for stride in STRIDES:
        y, x = (torch.arange(-(-side // stride)) for side in input_hw)
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flatten(0, 1).flip(1)
        centres = (grid + 0.5) * stride
        parts.append(torch.cat((centres, torch.full((len(centres), 1), float(stride))), 1))
    return torch.cat(parts)
