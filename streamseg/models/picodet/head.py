"""PicoDet's head: per location the classes, how well the box lies, and where its four sides are.

Tested in tests/models/picodet/test_network.py.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import hardswish

from streamseg.models.picodet.layers import ConvNormSwish, Separable
from streamseg.models.picodet.neck import NECK_WIDTH

__all__ = ["LevelHead", "LevelHeads"]

KERNEL = 5
LAYERS = 2


class LevelHeads(NamedTuple):
    """What one level says, (B, channels, h, w) each."""

    logits: Tensor
    """(B, C, h, w) of the classes."""
    alignment: Tensor
    """(B, 1, h, w) logit of how well the box lies."""
    distribution: Tensor
    """(B, 4 · bins, h, w) logits of the distances of left, top, right and bottom, bin by bin."""
    tower: Tensor
    """(B, 96, h, w) what classes and distances were made of."""


class Attention(nn.Module):
    """Channels weighted by their means over the level, then mixed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(width, width, 1)
        self.mix = ConvNormSwish(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(x * self.weigh(x.mean((2, 3), keepdim=True)).sigmoid())
        return y


class Alignment(nn.Module):
    """One number per location: how well classification and box agree there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = ConvNormSwish(width, 1, KERNEL, linear=True)
        self.scale = ConvNormSwish(1, 1, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.scale(hardswish(self.look(x)))
        return y


class LevelHead(nn.Module):
    """The head of one level; every level has its own."""

    def __init__(self, classes: int, bins: int) -> None:
        super().__init__()
        width = NECK_WIDTH
        self.tower = nn.Sequential(*(Separable(width, width, KERNEL) for _ in range(LAYERS)))
        self.attention = Attention(width)
        self.classify = nn.Conv2d(width, classes, 1)
        self.measure = nn.Conv2d(width, 4 * bins, 1)
        self.align = Alignment(width)

    def forward(self, level: Tensor) -> LevelHeads:
        seen = self.tower(level)
        tower = self.attention(seen)
        return LevelHeads(self.classify(tower), self.align(seen), self.measure(tower), tower)
