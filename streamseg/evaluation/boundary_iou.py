"""Boundary IoU of run-length masks (Cheng et al. 2021, "Boundary IoU", equation 1).

Tested in tests/evaluation/test_average_precision.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as rle_codec

from streamseg.masks import Crop, Region, crop_iou

__all__ = ["DILATION_RATIO", "Boundaries", "inner_boundary", "region_from_rle"]

DILATION_RATIO = 0.02
"""Width of the boundary as a share of the image's diagonal: the paper's for COCO."""

Rle = Mapping[str, Any]


def inner_boundary(rle: Rle) -> Crop:
    """The pixels of a mask that lie at most d pixels (chessboard distance) inside its outline, d = 2 % of the
    diagonal, at least 1; the border of the image counts as outline.

    One distance transform of the mask's box. Eroding the whole picture, as the reference does, takes 5 ms at
    640 × 480, and 88 s and 8 GB at 12,000 × 9,000 (faster-coco-eval 1.8).
    """
    height, width = rle["size"]
    depth = max(1, round(DILATION_RATIO * math.hypot(height, width)))
    (x, y), mask = region_from_rle(rle)
    if not mask.size:
        return Crop(0, 0, mask)
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0.0,))
    inside = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1]
    return Crop(x, y, mask & (inside <= depth))


def region_from_rle(rle: Rle) -> Region:
    """The pixels of a mask, cut to their box."""
    x, y, w, h = (int(v) for v in rle_codec.toBbox(rle))
    bits = rle_codec.decode(rle)[y : y + h, x : x + w]
    return Region((x, y), np.ascontiguousarray(bits).view(np.bool_))


class Boundaries:
    """Boundary IoU of pairs of masks, each mask's boundary made once."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Rle, Crop]] = {}

    def iou(self, a: Rle, b: Rle) -> float:
        """Intersection over union of the boundaries of two masks of one image."""
        return crop_iou(self._boundary(a), self._boundary(b))

    def forget(self) -> None:
        """Let go of every boundary."""
        self._made.clear()

    def _boundary(self, rle: Rle) -> Crop:
        # The mask is kept with its boundary, so that its id stays its own.
        if id(rle) not in self._made:
            self._made[id(rle)] = rle, inner_boundary(rle)
        return self._made[id(rle)][1]
