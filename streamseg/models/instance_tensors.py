"""What every tail ends in. Tested in tests/models/yolact/test_tail.py."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from streamseg.errors import ExportError

__all__ = ["InstanceTensors", "check_limits"]


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


def check_limits(max_detections: int, most: int, score_threshold: float) -> None:
    """Raise ExportError for more detections than the `most` a tail can have, or a threshold that is none."""
    if not 1 <= max_detections <= most:
        raise ExportError(f"max_detections {max_detections}: must be 1…{most}")
    if not 0 <= score_threshold < 1:
        raise ExportError(f"score_threshold {score_threshold}: must be 0…1")
