"""Which instance of one engine is which of another, in one frame.

Tested in tests/certification/test_comparison.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from streamseg.geometry import box_iou
from streamseg.masks import Crop, Region, crop_iou
from streamseg.structures import Instances

__all__ = ["MATCH_IOU", "Matching", "match_instances", "region_ious"]

MATCH_IOU = 0.5
"""Masks overlapping by less are two objects."""
_FIRST = 10.0
"""More than any sum of overlaps that a swap of partners may win or lose."""
_WEAK = 1.0
"""What a partner below the score costs: no overlap makes up for it. Without, an object that both engines
find twice, above the score and below, is paired crosswise: two overlaps of 0.8 are more than one of 1."""

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Rows of the reference and of the candidate. Those with a score below the one asked for appear only as
    partners of others that reach it."""

    pairs: Index
    """(P, 2) reference, candidate: one object, one class."""
    iou: NDArray[np.float64]
    """(P,) mask IoU of the pairs."""
    changed: Index
    """(Q, 2) reference, candidate: one mask, two classes."""
    missed: Index
    """(M,) of the reference, without a partner."""
    extra: Index
    """(E,) of the candidate, without a partner."""


def match_instances(
    reference: Instances,
    candidate: Instances,
    reference_regions: list[Region],
    candidate_regions: list[Region],
    score: float,
) -> Matching:
    """Match one to one by mask IoU ≥ 0.5: those of equal class first, of what remains those of any class.

    Both lists should go below `score` by a margin: what reaches `score` needs a partner, which may have any
    score that is listed. So an instance on the threshold, 0.301 here and 0.299 there, is no miss. Among all
    assignments (Kuhn 1955) the one that leaves the fewest without a partner is taken, then the one with the
    most partners that reach the score themselves, then the best IoU.
    An instance without a pixel matches nothing.
    """
    iou = region_ious(reference_regions, candidate_regions)
    strong_r, strong_c = reference.score >= score, candidate.score >= score
    needs = strong_r[:, None].astype(np.float64) + strong_c
    possible = (iou >= MATCH_IOU) & (needs > 0)
    same = reference.class_id[:, None] == candidate.class_id
    pairs = _assigned(iou, needs, possible & same)
    left = possible & ~same
    left[pairs[:, 0]] = False
    left[:, pairs[:, 1]] = False
    changed = _assigned(iou, needs, left)
    taken = np.concatenate([pairs, changed])
    return Matching(
        pairs,
        iou[pairs[:, 0], pairs[:, 1]],
        changed,
        np.setdiff1d(np.flatnonzero(strong_r), taken[:, 0]),
        np.setdiff1d(np.flatnonzero(strong_c), taken[:, 1]),
    )


def _assigned(iou: NDArray[np.float64], needs: NDArray[np.float64], possible: NDArray[np.bool_]) -> Index:
    """(n, 2) the pairs of the best assignment among those possible, by ascending row."""
    worth = np.where(possible, _FIRST * needs + iou - _WEAK * (needs < 2), 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    pairs = np.stack([rows, columns], axis=1).astype(np.intp)
    return pairs[possible[rows, columns]]


def region_ious(a: list[Region], b: list[Region]) -> NDArray[np.float64]:
    """(N, M) IoU in pixels; 0 with an empty region."""
    iou = np.zeros((len(a), len(b)))
    crops_a, crops_b = ([Crop(*r.origin_xy, r.bits) for r in regions] for regions in (a, b))
    # Most pairs do not even touch.
    for i, j in np.argwhere(box_iou(_boxes(a), _boxes(b)) > 0).tolist():
        iou[i, j] = crop_iou(crops_a[i], crops_b[j])
    return iou


def _boxes(regions: list[Region]) -> NDArray[np.float32]:
    rows = [(x, y, x + bits.shape[1], y + bits.shape[0]) for (x, y), bits in regions]
    return np.array(rows, np.float32).reshape(-1, 4)
