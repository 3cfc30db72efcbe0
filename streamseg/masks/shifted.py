"""Masks moved over the frame. Tested in tests/streaming/test_contract.py."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks.soft import BoxGrids, Masks

__all__ = ["shifted"]


def shifted(masks: Masks, by_xy: NDArray[np.floating]) -> Masks:
    """Each mask moved by its row of `by_xy` (N, 2), pixels of the frame; what leaves the grid is lost.

    A copy. On a grid over the input it is interpolated between cells; one over its own box moves with it.
    Raises ValueError for another number of rows.
    """
    if by_xy.shape != (len(masks), 2):
        raise ValueError(f"shifted: expected {(len(masks), 2)} shifts, got {by_xy.shape}")
    if isinstance(masks.grid, BoxGrids):
        moved = (masks.grid.xyxy + np.tile(by_xy, 2)).astype(np.float32)
        return replace(masks, soft=masks.soft.copy(), grid=replace(masks.grid, xyxy=moved))
    soft = np.empty_like(masks.soft)
    scale = np.array(masks.grid)
    for k, (dx, dy) in enumerate((by_xy / scale).tolist()):
        way = np.array([[1, 0, dx], [0, 1, dy]])
        cv2.warpAffine(masks.soft[k], way, soft.shape[:0:-1], dst=soft[k], flags=cv2.INTER_LINEAR)
    return replace(masks, soft=soft)
