"""How much of a zone all masks together cover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamseg.events.shapes import Columns
from streamseg.masks import Runs

__all__ = ["covered_shares"]

MOST_CELLS = 256
"""Columns that are read, and steps along each, at most: a cell of a 1080p picture is 8 × 5 pixels."""


def covered_shares(runs: Sequence[Runs], columns: Columns, frame_hw: tuple[int, int]) -> NDArray[np.float64]:
    """(Z,) 0…1: the share of each polygon that the union of masks with these runs covers."""
    height, width = frame_hw
    step, scale = -(-width // MOST_CELLS), min(1.0, MOST_CELLS / height)
    read = np.arange(step // 2, width, step)
    rows = int(np.ceil(height * scale))
    edges = np.zeros((len(read), rows + 1), np.int32)
    if runs:
        x = np.concatenate([r.column[::2] for r in runs])
        ends = np.concatenate([r.row for r in runs]) * scale
        kept = x % step == step // 2
        place = x[kept] // step
        np.add.at(edges, (place, np.rint(ends[::2][kept]).astype(np.intp)), 1)
        np.add.at(edges, (place, np.rint(ends[1::2][kept]).astype(np.intp)), -1)
    filled = np.zeros((len(read), rows + 1), np.int32)
    np.cumsum(np.cumsum(edges[:, :-1], axis=1) > 0, axis=1, out=filled[:, 1:])
    low = np.rint(columns.low[:, read] * scale).astype(np.intp)
    high = np.maximum(np.rint(columns.high[:, read] * scale).astype(np.intp), low)
    at = np.arange(len(read))[:, None]
    inside = (filled[at, high] - filled[at, low]).sum(axis=(0, 1))
    return np.asarray(inside / np.maximum((high - low).sum(axis=(0, 1)), 1), np.float64)
