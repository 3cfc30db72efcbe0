"""Boxes of objects of which another hides a side.

Where a mask ends at another's, its edge is not the object's: what a box measures there is where the other one
begins. Taken as it is, an object that goes behind another seems to slow down and to shrink, and is looked for
in the wrong place when it comes out. Such a side is as far from the free one as the track expects.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamseg.masks import Crop
from streamseg.tracking.detections import Detections, Outline

__all__ = ["whole_boxes"]

Boxes = NDArray[np.float64]
_HIDDEN_SHARE = 0.5
"""Of the outermost cells of a mask, so many must touch another's for the side to be hidden."""
_DEPTH = 2
"""Outermost columns or rows looked at: an edge is seldom straight."""
_REACH = 2
"""Cells between two masks that touch: networks leave a gap, or overlap."""


def whole_boxes(found: Detections, which: NDArray[np.intp], expected: Boxes) -> Boxes:
    """(P, 4) boxes of the detections at `which` (P,), sides that another mask hides moved out to where the
    `expected` boxes (P, 4) of their tracks have them. x1 y1 x2 y2, pixels.

    A side only moves outwards. Boxes whose width and height are no smaller than expected stay as they are.
    """
    seen = found.xyxy[which]
    scale = next((outline.scale_xy for outline in found.outlines if outline is not None), None)
    if scale is None:
        return seen
    missing = (expected[:, 2:] - expected[:, :2]) - (seen[:, 2:] - seen[:, :2])
    whole = seen.copy()
    for p, axis in np.argwhere(missing > scale).tolist():
        own = found.outlines[which[p]]
        if own is None:
            continue
        near = _neighbours(found, int(which[p]), own)
        low, high = (near and _hidden(own, near, axis, end) for end in (False, True))
        if low and high:
            whole[p, axis] = min(seen[p, axis], expected[p, axis])
            whole[p, axis + 2] = max(seen[p, axis + 2], expected[p, axis + 2])
        elif low:
            whole[p, axis] -= missing[p, axis]
        elif high:
            whole[p, axis + 2] += missing[p, axis]
    return whole


def _neighbours(found: Detections, k: int, own: Outline) -> list[Outline]:
    """Outlines of the detections whose boxes reach that of detection `k`, give or take some cells."""
    margin = np.array(own.scale_xy) * (_REACH + 1)
    low, high = found.xyxy[k, :2] - margin, found.xyxy[k, 2:] + margin
    near = ((found.xyxy[:, :2] < high) & (found.xyxy[:, 2:] > low)).all(axis=1)
    near[k] = False
    others = (found.outlines[j] for j in np.flatnonzero(near).tolist())
    return [other for other in others if other is not None and other.scale_xy == own.scale_xy]


def _hidden(own: Outline, near: list[Outline], axis: int, end: bool) -> bool:
    """Whether the mask ends at others' along `axis` (0: x, 1: y), at its low or its high `end`."""
    at, bits = _along(own.crop, axis)
    filled = np.flatnonzero(bits.any(axis=0))
    if not len(filled):
        return False
    edge = int(filled[-1]) if end else int(filled[0])
    outermost = slice(max(edge - _DEPTH + 1, 0), edge + 1) if end else slice(edge, edge + _DEPTH)
    mine = np.asarray(bits[:, outermost].any(axis=1))
    beyond = at[0] + edge + (1 if end else -_REACH)
    touched = np.zeros_like(mine)
    for other in near:
        touched |= _cells(other.crop, axis, beyond, at[1], len(mine))
    return int(np.count_nonzero(mine & touched)) >= _HIDDEN_SHARE * int(np.count_nonzero(mine))


def _cells(crop: Crop, axis: int, first: int, across: int, length: int) -> NDArray[np.bool_]:
    """(length,) whether any of the `_REACH` cells from `first` on along `axis` is set, for each place from
    `across` on."""
    (x, y), bits = _along(crop, axis)
    touched = np.zeros(length, np.bool_)
    columns = slice(max(first - x, 0), max(first + _REACH - x, 0))
    start, stop = max(y, across), min(y + len(bits), across + length)
    if start < stop:
        touched[start - across : stop - across] = bits[start - y : stop - y, columns].any(axis=1)
    return touched


def _along(crop: Crop, axis: int) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    """Where the crop begins along and across `axis`, and its bits, columns along it."""
    return ((crop.y0, crop.x0), crop.bits.T) if axis else ((crop.x0, crop.y0), crop.bits)
