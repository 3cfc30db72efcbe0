"""Anchor boxes: where each row of the heads looks (YOLACT §3, dbolya's `make_priors`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import sqrt

import torch
from torch import Tensor

from streamseg.models.yolact.config import YolactConfig

__all__ = ["level_lengths", "level_sizes", "make_priors"]


def level_sizes(input_hw: tuple[int, int], extra_levels: int) -> list[tuple[int, int]]:
    """Height and width of every pyramid level: each halving rounds up, as convolutions with padding do."""
    sizes = []
    h, w = input_hw
    for halving in range(1, 6 + extra_levels):
        h, w = -(-h // 2), -(-w // 2)
        if halving >= 3:
            sizes.append((h, w))
    return sizes


def anchor_shapes(config: YolactConfig, scale: float) -> list[tuple[float, float]]:
    """Width and height of one level's anchors, relative to the input, in the order of the channels."""
    h, w = config.input_hw
    shapes = []
    for octave, aspect in product(config.anchor_octaves, config.anchor_aspects):
        side_x = scale * octave * sqrt(aspect)
        side_y = side_x if config.square_anchors else scale * octave / sqrt(aspect)
        shapes.append((side_x / w, side_y / h))
    return shapes


def level_lengths(config: YolactConfig) -> tuple[int, ...]:
    """Priors of each pyramid level, in the order of the heads' rows."""
    anchors = len(config.anchor_octaves) * len(config.anchor_aspects)
    return tuple(h * w * anchors for h, w in level_sizes(config.input_hw, config.fpn_extra_levels))


def make_priors(config: YolactConfig) -> Tensor:
    """(P, 4) float32: cx, cy, w, h relative to the input; by level, row, column, octave, aspect.

    An anchor is a rectangle in pixels of the input, so on inputs that are not square its relative
    sides are s·√ar/input_w and s/√ar/input_h.
    """
    rows: list[Sequence[float]] = []
    sizes = level_sizes(config.input_hw, config.fpn_extra_levels)
    for (mh, mw), scale in zip(sizes, config.anchor_scales, strict=True):
        shapes = anchor_shapes(config, scale)
        rows += [
            ((x + 0.5) / mw, (y + 0.5) / mh, w, h)
            for y, x in product(range(mh), range(mw))
            for w, h in shapes
        ]
    return torch.tensor(rows, dtype=torch.float32)
