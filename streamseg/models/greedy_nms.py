"""Greedy NMS in operations of fixed shape that any runtime has: no loop over boxes, no NonMaxSuppression.

Tested in tests/models/test_greedy_nms.py.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from streamseg.models.corners import Corners, excess

__all__ = ["Survivors", "greedy_survivors"]

BLOCK = 250
"""Boxes compared with each other at a time. Of 3000, blocks of 250 compare a tenth of all pairs, and matrices
of that size stay in a processor's cache for the steps below."""
STEPS = 12
"""A box is decided after as many steps as the longest chain in which each box would suppress the next, within
a block. Measured: 2 to 7 in 450 to 2000 boxes of real and made-up crowds."""


class Survivors(NamedTuple):
    """The best of what greedy NMS keeps, (B, K) each."""

    scores: Tensor
    """Descending; 0 where there are no more."""
    index: Tensor
    """Rows of what was given; of no meaning where the score is 0."""


def greedy_survivors(
    boxes: Corners, scores: Tensor, classes: Tensor | None, iou: float, most: int
) -> Survivors:
    """The `most` best boxes that no better kept box of their class overlaps with more than `iou`.

    `boxes` planes (B, n) by descending `scores` (B, n), 0 for boxes that take no part; `classes` (B, n), or
    None where boxes suppress those of any class. `most` is at most n.

    Block by block: a box is kept if no box kept before its block suppresses it and none kept within. Of those
    before, the `most` best are all that is needed: with as many there is no room for more. Within a block the
    kept ones are the fixed point of keep ← start ∧ ¬(keep · suppresses), from all on.
    """
    area = (boxes.x2 - boxes.x1) * (boxes.y2 - boxes.y1) * (iou / (1 + iou))
    kept: Survivors | None = None
    for start in range(0, scores.shape[1], BLOCK):
        stop = min(start + BLOCK, scores.shape[1])
        part = scores[:, start:stop]
        place = torch.arange(start, stop, device=scores.device).expand_as(part)
        free = part > 0
        if kept is not None:
            over = suppresses(boxes, area, classes, kept.index, place) & (kept.scores > 0).unsqueeze(-1)
            free = free & ~over.any(1)
        rivals = suppresses(boxes, area, classes, place, place)
        best = torch.where(undisputed(free, rivals.triu(1)), part, 0.0)
        scored, index = (
            (best, place)
            if kept is None
            else (
                torch.cat((kept.scores, best), 1),
                torch.cat((kept.index, place), 1),
            )
        )
        top, order = scored.topk(min(most, scored.shape[1]), dim=1)
        kept = Survivors(top, index.gather(1, order))
    assert kept is not None
    return kept


def suppresses(boxes: Corners, area: Tensor, classes: Tensor | None, rows: Tensor, columns: Tensor) -> Tensor:
    """(B, r, c) bool: boxes `rows` (B, r) overlap boxes `columns` (B, c) too much; `area` (B, n) is scaled by
    iou / (1 + iou), which makes the comparison one of areas."""
    one, other = boxes.gather(rows), boxes.gather(columns)
    over = excess(one, area.gather(1, rows), other) > area.gather(1, columns).unsqueeze(1)
    if classes is None:
        return over
    return over & (classes.gather(1, rows).unsqueeze(-1) == classes.gather(1, columns).unsqueeze(1))


def undisputed(free: Tensor, rivals: Tensor) -> Tensor:
    """(B, n) bool, which of `free` (B, n) are kept; row i of `rivals` (B, n, n) says what i suppresses."""
    matrix, start = rivals.float(), free.float().unsqueeze(1)
    keep = start
    for _ in range(STEPS):
        keep = start * (keep @ matrix < 0.5)
    return keep.squeeze(1) > 0.5
