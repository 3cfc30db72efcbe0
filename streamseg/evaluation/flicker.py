"""How much outlines flicker: what changes from frame to frame besides the motion of the object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["steadiness"]

Bits = NDArray[np.bool_]


def steadiness(sequence: Sequence[Mapping[int, Bits]]) -> float:
    """Mean IoU of each object's mask with its mask in the frame before, moved so that their centres meet.

    `sequence` has for each frame (H, W) bool masks by the object's id. 1: nothing but motion. What the truth
    of the same frames has is what can be had: objects turn and change shape. NaN where no object is in two
    frames in a row.
    """
    values = [
        _moved_iou(before[name], now[name])
        for before, now in pairwise(sequence)
        for name in now.keys() & before.keys()
        if now[name].any() and before[name].any()
    ]
    return float(np.mean(values)) if values else float("nan")


def _moved_iou(before: Bits, now: Bits) -> float:
    rows, columns = np.nonzero(before)
    rows_now, columns_now = np.nonzero(now)
    rows = rows + round(float(rows_now.mean() - rows.mean()))
    columns = columns + round(float(columns_now.mean() - columns.mean()))
    inside = (rows >= 0) & (rows < now.shape[0]) & (columns >= 0) & (columns < now.shape[1])
    both = int(np.count_nonzero(now[rows[inside], columns[inside]]))
    return both / (int(np.count_nonzero(inside)) + len(rows_now) - both)
