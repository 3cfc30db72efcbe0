"""Which detection continues which track.

Three questions are kept apart. *May* a pair match: the boxes, the track's moved to where it should be
by now, overlap enough (the gate). *Which* of several candidates is better: boxes and masks together
(the rank). *Who* chooses first: confirmed tracks among good detections, then those just seen among weak
ones (Zhang et al., "ByteTrack", 2022), then tentative tracks among what is left (the stages).

Masks only rank. As a gate they lose more true pairs than they refuse false ones (measured on MOTS20:
-0.9 to -2.4 HOTA), because half-occluded objects change their outline faster than their box.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["Pairs", "enlarged", "gap_buffer", "match"]

Indices = NDArray[np.intp]
Pairs = tuple[Indices, Indices]
"""Row and column of each pair."""
Floats = NDArray[np.float64]

BUFFER_PER_STEP, MAX_BUFFER = 0.1, 0.3
_LEAST_RANK = 1e-3


def gap_buffer(step_seconds: float, nominal_seconds: float) -> float:
    """Share of a box's side to add on each side before comparing boxes across a step.

    0 at the usual rate or faster, growing with the frames that are missing: the longer the step, the
    further an object may be from where constant velocity puts it (buffered IoU: Yang et al., "C-BIoU", 2023).
    """
    return min(MAX_BUFFER, max(0.0, BUFFER_PER_STEP * (step_seconds / nominal_seconds - 1)))


def enlarged(xyxy: Floats, share: float) -> Floats:
    """(N, 4) boxes with `share` of their width and height added on every side."""
    if share == 0.0:
        return xyxy
    margin = share * (xyxy[:, 2:] - xyxy[:, :2])
    return np.concatenate((xyxy[:, :2] - margin, xyxy[:, 2:] + margin), axis=1)


def match(
    iou: Floats,
    penalty: Floats,
    mask_iou: Callable[[Indices, Indices], Floats],
    rows: Indices,
    columns: Indices,
    gate: float,
) -> Pairs:
    """The best one-to-one pairs of `rows` (tracks) and `columns` (detections).

    `iou` and `penalty` are (tracks, detections) for all of them. `mask_iou(rows, columns)` gives the
    mask IoU of pairs, NaN where it is unknown; it is asked only for pairs that compete with another:
    a pair alone in its row and column is matched whatever its rank.
    """
    if not len(rows) or not len(columns):
        return rows[:0], columns[:0]
    sub = np.ix_(rows, columns)
    box = iou[sub]
    possible = box >= gate
    r, c = np.nonzero(possible)
    rivals = np.add(possible.sum(1)[r], possible.sum(0)[c])
    contested = rivals > 2
    if not contested.any():
        return rows[r], columns[c]
    rank = np.where(possible, box, 0.0)
    r, c = r[contested], c[contested]
    masks = mask_iou(rows[r], columns[c])
    boxes = box[r, c]
    mixed = np.where(np.isnan(masks), boxes, (boxes + masks) / 2) - penalty[rows[r], columns[c]]
    rank[r, c] = np.maximum(mixed, _LEAST_RANK)
    r, c = linear_sum_assignment(rank, maximize=True)
    kept = possible[r, c]
    return rows[r[kept]], columns[c[kept]]
