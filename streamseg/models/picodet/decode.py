"""From PicoDet's raw heads to scores and boxes (Li et al., "Generalized Focal Loss", 2020).

Tested in tests/models/picodet/test_network.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from streamseg.models.corners import Corners
from streamseg.models.picodet.network import PicoHeads

__all__ = ["decoded_boxes", "joint_probabilities", "joint_scores"]

LEAST = 1e-9
"""Keeps the root's gradient finite, as in the original."""


def joint_scores(heads: PicoHeads) -> Tensor:
    """(B, P, C) in 0…1: the geometric mean of the class's probability and of how well the box lies. The
    original's score, by which locations are ranked."""
    return (joint_probabilities(heads) + LEAST).sqrt()


def joint_probabilities(heads: PicoHeads) -> Tensor:
    """(B, P, C) in 0…1: their product. What an engine says: it sorts alike and is nearer to how often
    it is right. Of what has a score of 0.5 in the original, 0.25 here, 34 % are."""
    return heads.logits.sigmoid() * heads.alignment.sigmoid()


def decoded_boxes(distribution: Tensor, points: Tensor, input_hw: tuple[int, int]) -> Corners:
    """Logits (B, P, 4 · bins) at points (P, 3), see `level_points` → planes (B, P) relative to the input, not
    clipped."""
    weights = distribution.reshape(*distribution.shape[:2], 4, -1).softmax(-1)
    bins = torch.arange(weights.shape[-1], device=weights.device, dtype=weights.dtype)
    sides = (weights * bins).sum(-1) * points[:, 2:]
    x, y = points[:, 0], points[:, 1]
    left, top, right, bottom = sides.unbind(-1)
    h, w = input_hw
    return Corners((x - left) / w, (y - top) / h, (x + right) / w, (y + bottom) / h)
