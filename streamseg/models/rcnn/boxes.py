"""Anchors, and what moves them: the box coder of Faster R-CNN (Ren et al., 2015, equation 2).

Tested in tests/models/rcnn/test_tail.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from streamseg.models.corners import Corners
from streamseg.models.rcnn.config import RcnnConfig
from streamseg.models.rcnn.network import ANCHOR_RATIOS

__all__ = ["level_anchors", "moved", "within"]

MOST_GROWTH = math.log(1000 / 16)
"""Of a box's side, up or down, as a logarithm."""
ANCHOR_SIDE = 8
"""Strides."""
LEVELS = 5


def level_anchors(config: RcnnConfig) -> list[Tensor]:
    """Of each level (rows · columns · ratios, 4) float32: x1 y1 x2 y2 in pixels of the input."""
    sides = [tuple(side >> level for side in config.input_hw) for level in range(2, 2 + LEVELS - 1)]
    sides.append((math.ceil(sides[-1][0] / 2), math.ceil(sides[-1][1] / 2)))
    return [_anchors(config, 4 << level, rows, columns) for level, (rows, columns) in enumerate(sides)]


def _anchors(config: RcnnConfig, stride: int, rows: int, columns: int) -> Tensor:
    root = torch.tensor(ANCHOR_RATIOS).sqrt()
    half = torch.stack((1 / root, root), 1) * (ANCHOR_SIDE * stride / 2)
    corners = torch.cat((-half, half), 1)
    down = across = stride
    if config.numerics.whole_anchors:
        corners = corners.round()
        down, across = config.input_hw[0] // rows, config.input_hw[1] // columns
    y, x = torch.meshgrid(
        torch.arange(rows) * float(down), torch.arange(columns) * float(across), indexing="ij"
    )
    places = torch.stack((x, y, x, y), -1).reshape(-1, 1, 4)
    return (places + corners).reshape(-1, 4)


def moved(boxes: Corners, deltas: Tensor) -> Corners:
    """Boxes, planes (B, n), moved and grown by (B, n, 4): by parts of a side, by logarithms."""
    width, height = boxes.x2 - boxes.x1, boxes.y2 - boxes.y1
    dx, dy, dw, dh = deltas.unbind(-1)
    x, y = boxes.x1 + width * (0.5 + dx), boxes.y1 + height * (0.5 + dy)
    half_w = width * dw.clamp(-MOST_GROWTH, MOST_GROWTH).exp() / 2
    half_h = height * dh.clamp(-MOST_GROWTH, MOST_GROWTH).exp() / 2
    return Corners(x - half_w, y - half_h, x + half_w, y + half_h)


def within(boxes: Corners, extent: Tensor) -> Corners:
    """Cut at the picture's borders; `extent` as RcnnHeads has it."""
    width, height = extent[:, :1], extent[:, 1:]
    return Corners(
        boxes.x1.clamp(min=0).minimum(width),
        boxes.y1.clamp(min=0).minimum(height),
        boxes.x2.clamp(min=0).minimum(width),
        boxes.y2.clamp(min=0).minimum(height),
    )
