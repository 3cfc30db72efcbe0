"""Boxes as arrays: x1 y1 x2 y2 in pixels, x2 and y2 exclusive."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["box_area", "box_iou", "clip_boxes"]

Boxes = NDArray[Any]


def box_area(xyxy: Boxes) -> NDArray[np.float64]:
    """(N,) areas of (N, 4) boxes in square pixels; 0 where a side is zero or negative."""
    size = np.maximum(xyxy[:, 2:].astype(np.float64) - xyxy[:, :2], 0.0)
    area: NDArray[np.float64] = size[:, 0] * size[:, 1]
    return area


def box_iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """(N, M) intersection over union of every box of `a` (N, 4) with every one of `b` (M, 4).

    0 for a degenerate box, also against itself.
    """
    # One coordinate at a time: an inner dimension of 2 costs twice as much (84 µs against 46 at 50×50).
    ax1, ay1, ax2, ay2 = a.T.astype(np.float64)[:, :, None]
    bx1, by1, bx2, by2 = b.T.astype(np.float64)
    inter: NDArray[np.float64] = np.minimum(ax2, bx2)
    inter -= np.maximum(ax1, bx1)
    np.maximum(inter, 0.0, out=inter)
    height = np.minimum(ay2, by2)
    height -= np.maximum(ay1, by1)
    inter *= np.maximum(height, 0.0, out=height)
    union = box_area(a)[:, None] + box_area(b)
    union -= inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=inter > 0)


def clip_boxes(xyxy: Boxes, frame_hw: tuple[int, int]) -> NDArray[np.float32]:
    """(N, 4) float32 copy with every corner moved into the frame of `frame_hw` (height, width)."""
    height, width = frame_hw
    bound = np.array([width, height, width, height], np.float32)
    clipped: NDArray[np.float32] = np.clip(xyxy.astype(np.float32), np.float32(0), bound)
    return clipped
