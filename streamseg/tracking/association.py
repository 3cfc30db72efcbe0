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

from streamseg.geometry import box_iou
from streamseg.tracking.assignment import linear_sum_assignment

__all__ = ["Pairs", "Rank", "Round", "associate", "best_pairs", "enlarged", "gap_buffer"]

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
    free_tracks, free_detections = np.ones(len(predicted), np.bool_), np.ones(len(found), np.bool_)
    all_tracks, all_detections = [], []
    for stage in stages:
        tracks = np.flatnonzero(stage.tracks & free_tracks)
        detections = np.flatnonzero(stage.detections & free_detections)
        if not len(tracks) or not len(detections):
            continue
        iou = box_iou(enlarged(predicted[tracks], stage.buffer), enlarged(found[detections], stage.buffer))
        if stage.allowed is not None:
            # Below any gate, 0 included.
            iou = np.where(stage.allowed[np.ix_(tracks, detections)], iou, -1.0)
        rows, columns = best_pairs(iou, stage.gate_iou, _among(rank, tracks, detections))
        tracks, detections = tracks[rows], detections[columns]
        free_tracks[tracks] = free_detections[detections] = False
        all_tracks.append(tracks)
        all_detections.append(detections)
    if not all_tracks:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    return np.concatenate(all_tracks), np.concatenate(all_detections)


def _among(rank: Rank, tracks: Indices, detections: Indices) -> Rank:
    """`rank` for rows and columns that stand for `tracks` and `detections`."""
    return lambda rows, columns, iou: rank(tracks[rows], detections[columns], iou)


def best_pairs(iou: Floats, gate_iou: float, rank: Rank) -> Pairs:
    """One-to-one pairs of rows and columns of `iou` (R, C) past the gate, with the highest sum of ranks.

    `rank` is asked only for pairs that compete with another: one that is alone in its row and column is
    a pair whatever its rank.
    """
    possible = iou >= gate_iou
    rows, columns = np.nonzero(possible)
    rivalled = np.bincount(rows)[rows] + np.bincount(columns)[columns] > 2
    if not rivalled.any():
        return rows, columns
    # What is possible stays better than nothing, however low it ranks.
    ranks = np.where(possible, np.maximum(iou, _LEAST_RANK), 0.0)
    rows, columns = rows[rivalled], columns[rivalled]
    ranks[rows, columns] = np.maximum(rank(rows, columns, iou[rows, columns]), _LEAST_RANK)
    rows, columns = linear_sum_assignment(ranks, maximize=True)
    kept = possible[rows, columns]
    return rows[kept], columns[kept]
