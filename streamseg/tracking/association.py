"""Which detection continues which track.

Three questions are kept apart. *May* a pair match: the boxes, the track's moved to where it should be
by now, overlap enough (the gate). *Which* of several candidates is better: boxes, masks and classes
together (the rank). *Who* chooses first: the stages, in `associate`.

Masks only rank. As a gate they lose more true pairs than they keep out false ones (measured on MOTS20:
-0.9 to -2.4 HOTA): outlines change faster than boxes when objects pass behind one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.tracking.assignment import linear_sum_assignment

__all__ = ["Pairs", "Rank", "Round", "associate", "best_pairs", "enlarged", "gap_buffer", "paired_iou"]

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]
Pairs = tuple[Indices, Indices]
"""Track and detection of each pair."""
Rank = Callable[[Indices, Indices, Floats], Floats]
"""rank(tracks, detections, iou): how well each pair fits, given the IoU of their boxes."""

BUFFER_PER_STEP, MAX_BUFFER = 0.1, 0.3
_LEAST_RANK = 1e-3


class Round(NamedTuple):
    """Who is matched with whom, and how close they must be."""

    tracks: NDArray[np.bool_]
    """(T,) those that take part, unless matched before."""
    detections: NDArray[np.bool_]
    """(M,) likewise."""
    gate_iou: float
    """Least IoU of a pair."""
    buffer: float
    """Share of its sides by which a box is enlarged on each side before its IoU is taken."""
    allowed: NDArray[np.bool_] | None = None
    """(T, M) pairs that may match; None: all."""
    fit: Rank | None = None
    """What is to pass the gate instead of the IoU, and ranks, for boxes that touch; NaN: not a pair."""


def gap_buffer(step_seconds: float, usual_seconds: float) -> float:
    """Share of a box's sides by which to enlarge it before comparing boxes across a step.

    0 at the usual rate or faster, 0.1 for every frame that is missing, at most 0.3: the longer the step,
    the further an object may be from where constant velocity puts it.
    """
    return min(MAX_BUFFER, max(0.0, BUFFER_PER_STEP * (step_seconds / usual_seconds - 1)))


def enlarged(xyxy: Floats, share: float) -> Floats:
    """(N, 4) boxes with `share` of their width and height added on every side.

    (Yang et al., "Hard to track objects with irregular motions and similar appearances?", 2023.)
    """
    if share == 0.0:
        return xyxy
    margin = share * (xyxy[:, 2:] - xyxy[:, :2])
    return np.concatenate((xyxy[:, :2] - margin, xyxy[:, 2:] + margin), axis=1)


def associate(predicted: Floats, found: Floats, stages: Sequence[Round], rank: Rank) -> Pairs:
    """Pair boxes of tracks (T, 4) and detections (M, 4), stage after stage.

    Who is paired takes no part in the stages after.
    """
    # Few boxes touch: a list of those that do costs a third of the matrices of all pairs, at 50 and 50.
    widest = max((stage.buffer for stage in stages), default=0.0)
    rows, columns = _touching(enlarged(predicted, widest), enlarged(found, widest))
    if any(stage.gate_iou <= 0 for stage in stages):  # no overlap is enough
        rows, columns = np.indices((len(predicted), len(found))).reshape(2, -1)
    free_tracks, free_detections = np.ones(len(predicted), np.bool_), np.ones(len(found), np.bool_)
    tracks, detections = [rows[:0]], [columns[:0]]
    a, b = np.ascontiguousarray(predicted.T), np.ascontiguousarray(found.T)
    for stage in stages:
        choosing, offered = stage.tracks & free_tracks, stage.detections & free_detections
        if not choosing.any() or not offered.any():
            continue
        taking_part = choosing.take(rows) & offered.take(columns)
        if stage.allowed is not None:
            taking_part &= stage.allowed[rows, columns]
        at, to = rows.compress(taking_part), columns.compress(taking_part)
        iou = paired_iou(a.take(at, axis=1), b.take(to, axis=1), stage.buffer)
        if stage.fit is not None:
            iou = stage.fit(at, to, iou)
        close = iou >= stage.gate_iou
        at, to = at.compress(close), to.compress(close)
        at, to = best_pairs(at, to, iou.compress(close), stage.fit or rank)
        free_tracks[at] = free_detections[to] = False
        tracks.append(at)
        detections.append(to)
    return np.concatenate(tracks), np.concatenate(detections)


def _touching(a: Floats, b: Floats) -> Pairs:
    """Rows of `a` (T, 4) and `b` (M, 4) whose boxes overlap."""
    ax1, ay1, ax2, ay2 = np.ascontiguousarray(a.T)[:, :, None]
    bx1, by1, bx2, by2 = np.ascontiguousarray(b.T)
    touching = ax1 < bx2
    touching &= bx1 < ax2
    touching &= ay1 < by2
    touching &= by1 < ay2
    rows, columns = np.divmod(np.flatnonzero(touching), max(len(b), 1))
    return rows, columns


def paired_iou(a: Floats, b: Floats, buffer: float) -> Floats:
    """(P,) IoU of each box of `a` (4, P) with the one of `b` in the same column, both with `buffer` of their
    sides added on every side; all have an area."""
    side_a, side_b = a[2:] - a[:2], b[2:] - b[:2]
    if buffer:
        wider_a, wider_b = buffer * side_a, buffer * side_b
        a = np.concatenate((a[:2] - wider_a, a[2:] + wider_a))
        b = np.concatenate((b[:2] - wider_b, b[2:] + wider_b))
        side_a, side_b = a[2:] - a[:2], b[2:] - b[:2]
    side = np.minimum(a[2:], b[2:])
    side -= np.maximum(a[:2], b[:2])
    np.maximum(side, 0.0, out=side)
    inter: Floats = side[0] * side[1]
    union = side_a[0] * side_a[1] + side_b[0] * side_b[1]
    union -= inter
    inter /= union
    return inter


def best_pairs(rows: Indices, columns: Indices, iou: Floats, rank: Rank) -> Pairs:
    """Of the pairs of `rows` and `columns` (P,), with the IoU of their boxes, those one to one with the
    highest sum of ranks.

    `rank` is asked only for pairs that compete with another: one that is alone in its row and column is
    a pair whatever its rank.
    """
    rivalled = np.bincount(rows).take(rows) + np.bincount(columns).take(columns) > 2
    if not rivalled.any():
        return rows, columns
    worth = iou.copy()
    worth[rivalled] = rank(rows.compress(rivalled), columns.compress(rivalled), iou.compress(rivalled))
    ranks = np.zeros((int(rows.max()) + 1, int(columns.max()) + 1))
    # What is possible stays better than nothing, however low it ranks.
    ranks[rows, columns] = np.maximum(worth, _LEAST_RANK)
    at, to = linear_sum_assignment(ranks, maximize=True)
    kept = ranks[at, to] > 0
    return at[kept], to[kept]
