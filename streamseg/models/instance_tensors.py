"""What every tail ends in. Tested in tests/models/yolact/test_tail.py."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["InstanceTensors"]


class InstanceTensors(NamedTuple):
    """The engine contract's outputs as tensors."""

    boxes: Tensor
    """(B, K, 4) float32, x1 y1 x2 y2 relative to the input, not clipped."""
    scores: Tensor
    """(B, K) float32, descending; 0 from `number` on."""
    classes: Tensor
    """(B, K) int32, 0-based foreground class."""
    masks: Tensor
    """(B, K, mh, mw) uint8: probability × 255, zero outside the box, or a logit (`Family.mask_encoding`)."""
    number: Tensor
    """(B,) int32, the contract's `count` (a tuple has a method of that name)."""
