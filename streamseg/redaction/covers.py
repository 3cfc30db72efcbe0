"""All that is to be covered of one uninterrupted scene: which detection goes on with which object.

A link decides only what is covered besides the detections, never less than them: one that may be wrong leaves
a ghost behind, so that what it was taken from stays covered.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.redaction.cells import Bits, CellGrid, CellPatch
from streamseg.redaction.cover import COAST_SECONDS, Cover, Sighting

__all__ = ["Covers", "Hidden"]

_GATE = 0.3
"""Least IoU of an object's expected box with that of a detection which goes on with it."""
_SURE, _SURE_AFTER_GAP = 0.45, 0.6
"""Below this IoU a detection is taken for another object's, and one that was long there waits on its own."""
_RIVAL = 0.3
"""Another object whose IoU with the detection reaches this may be the one it shows."""
_ESTABLISHED = 1.0
"""Scores that sum up to so much make an object that may have been taken for another."""
_GHOST_PATIENCE_SECONDS = 1.0
_GHOST_SECONDS = 0.3
"""Between two ghosts of one object."""
_CERTAIN_SECONDS = 1.0
"""For so long there must have been no doubt of an object that is revealed."""
_NEAR = 0.2
"""Share of its sides by which a box is enlarged to find others near it."""
_BROKEN_OFF_SECONDS = 1.0
"""How long what was seen before a cut stays covered after it: the cut may have been none."""
_EDGE = 2
"""Cells: what comes so near to the border of the picture reaches it."""


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """What is covered in one frame."""

    bits: Bits
    """Cells of the frame, 1 where covered."""
    remembered: int
    """Objects covered though they were not found in this frame."""
    revealed: tuple[int, ...]


class Covers:
    """The objects of one scene, for frames of one size."""

    def __init__(self, grid: CellGrid, back_s: float, *, tells_apart: bool = True) -> None:
        """`back_s`: for how long before it was found an object may have been there. `tells_apart`: whether
        some may be revealed, and it matters which is which."""
        self.grid = grid
        self._covers: list[Cover] = []
        self._back_s = back_s
        self._tells_apart = tells_apart
        self._before_t = -np.inf
        """Media time of the frame looked at last."""
        self._homes: dict[int, Cover] = {}

    def __len__(self) -> int:
        """Objects that have been seen and not forgotten, ghosts not counted."""
        return sum(not cover.ghost for cover in self._covers)

    def there(self, t: float, seconds: float) -> tuple[int, int]:
        """How many objects were seen three times at least and within the last `seconds`; and how many of
        these were not about to leave the picture."""
        alive = [
            cover
            for cover in self._covers
            if not cover.ghost and len(cover.times) >= 3 and t - cover.last.t <= seconds
        ]
        return len(alive), sum(not cover.leaves(self.grid.frame_hw) for cover in alive)

    def break_off(self, t: float) -> None:
        """What comes from `t` on does not go on from what was seen so far: that waits for a while and
        vanishes."""
        for cover in self._covers:
            cover.ghost = True
            cover.until_t = min(cover.until_t, t + _BROKEN_OFF_SECONDS)

    def see(
        self,
        t: float,
        boxes: NDArray[np.float64],
        found: Sequence[CellPatch],
        ids: Sequence[int],
        scores: Sequence[float],
    ) -> None:
        """What was found at media time `t`, later than all before: boxes (N, 4) in pixels, their cells, ids
        of tracks, -1 where there is none, and scores."""
        sightings = [
            Sighting(t, (x1, y1, x2, y2), patch, track, score)
            for (x1, y1, x2, y2), patch, track, score in zip(boxes.tolist(), found, ids, scores, strict=True)
        ]
        solid = [cover for cover in self._covers if not cover.ghost]
        iou = _iou(np.array([cover.expected(t) for cover in solid]).reshape(-1, 4), boxes)
        pairs = {k: which for k, which in _best_pairs(iou).items() if self._goes_on(solid[k], iou[k, which])}
        self._go_on(solid, sightings, iou, pairs)
        fresh = set(range(len(sightings))) - set(pairs.values())
        self._covers += [Cover(sightings[k]) for k in sorted(fresh)]
        for k, cover in enumerate(solid):
            if k not in pairs:
                cover.doubt_t = t
        if self._tells_apart:
            self._doubt_crowds(t)
        self._before_t = t

    def _go_on(
        self, solid: list[Cover], sightings: list[Sighting], iou: NDArray[np.float64], pairs: dict[int, int]
    ) -> None:
        left_out = [k for k in range(len(solid)) if k not in pairs]
        for k, which in pairs.items():
            cover, sighting = solid[k], sightings[which]
            rivals = [solid[j] for j in left_out if iou[j, which] >= _RIVAL]
            cover.mistakable |= bool(rivals) or bool(iou[k, which] < _SURE)
            if cover.evidence >= _ESTABLISHED and any(rival.evidence >= _ESTABLISHED for rival in rivals):
                self._leave_ghost(cover, sighting.t)
            if sighting.track != cover.last.track:
                cover.mistakable |= cover.last.track > 0
                cover.doubt_t = sighting.t
            cover.add(sighting)

    def _goes_on(self, cover: Cover, iou: float) -> bool:
        """Whether a detection that fits so well is of this object: a wrong yes would leave what comes newly
        uncovered before, and this one from now on."""
        sure = _SURE if cover.last.t == self._before_t else _SURE_AFTER_GAP
        return cover.evidence < _ESTABLISHED or iou >= sure

    def _leave_ghost(self, cover: Cover, t: float) -> None:
        if t - cover.ghosted_t >= _GHOST_SECONDS:
            cover.ghosted_t = t
            self._covers.append(cover.ghost_of(t + _GHOST_PATIENCE_SECONDS))

    def _doubt_crowds(self, t: float) -> None:
        """Of objects close together it is not certain which is which."""
        around = [cover for cover in self._covers if t - cover.last.t <= _CERTAIN_SECONDS and not cover.ghost]
        if len(around) < 2:
            return
        boxes = np.array([cover.last.box if cover.last.t == t else cover.expected(t) for cover in around])
        reach = _NEAR * (boxes[:, 2:] - boxes[:, :2])
        boxes += np.concatenate((-reach, reach), axis=1)
        meets = (_iou(boxes, boxes) > 0).sum(axis=1) > 1
        for cover, touched in zip(around, meets.tolist(), strict=True):
            if touched:
                cover.doubt_t = t
                cover.mistakable |= cover.last.t < t

    def hide(self, t: float, reveal: Collection[int] = ()) -> Hidden:
        """What to cover in the frame of time `t`, from what has been seen before it, in it and after it. Ids
        in `reveal` are left out where it is certain that it is they."""
        bits = np.zeros(self.grid.hw, np.uint8)
        revealed: list[int] = []
        unseen = []
        for cover in self._covers:
            patch = cover.seen(t, self.grid.side)
            if patch is None:
                unseen.append(cover)
                continue
            track = self._certain(cover, t) if reveal else None
            if track is not None and track in reveal:
                revealed.append(track)
            else:
                _lay(bits, patch)
        found, remembered = bits.copy(), 0
        for cover in unseen:
            patch = cover.unseen(t, self.grid.side, self._back_s, found)
            if patch is not None:
                remembered += not cover.ghost
                _lay(bits, patch)
        _extend_to_border(bits)
        return Hidden(bits, remembered, tuple(revealed))

    def _certain(self, cover: Cover, t: float) -> int | None:
        """The id of the track, where there has been no doubt of it: from a second before `t` until now."""
        track = cover.last.track
        sure = not (cover.ghost or cover.mistakable) and cover.doubt_t <= t - _CERTAIN_SECONDS
        home = self._homes.setdefault(track, cover) if track > 0 else None
        return track if sure and home is cover else None

    def forget_before(self, t: float) -> None:
        """Drop what no frame from time `t` on needs."""
        kept = []
        for cover in self._covers:
            if cover.last.t >= t - COAST_SECONDS:
                cover.forget_before(t)
                kept.append(cover)
        self._covers = kept


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(A, B) IoU of boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - both
    return np.asarray(both / np.maximum(union, 1e-9), np.float64)


def _best_pairs(iou: NDArray[np.float64]) -> dict[int, int]:
    """Row → column, the best pair first, each once, from the gate on."""
    rows, columns = np.nonzero(iou >= _GATE)
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for k in np.argsort(-iou[rows, columns], kind="stable").tolist():
        row, column = int(rows[k]), int(columns[k])
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return pairs


def _lay(bits: Bits, patch: CellPatch) -> None:
    """Set the cells of `patch` that are inside."""
    h, w = patch.bits.shape
    rows, columns = bits.shape
    top, left = max(-patch.y0, 0), max(-patch.x0, 0)
    bottom, right = min(h, rows - patch.y0), min(w, columns - patch.x0)
    if top < bottom and left < right:
        bits[patch.y0 + top : patch.y0 + bottom, patch.x0 + left : patch.x0 + right] |= patch.bits[
            top:bottom, left:right
        ]


def _extend_to_border(bits: Bits) -> None:
    """What comes near the border reaches it."""
    for strip in (bits[:_EDGE], bits[-_EDGE:]):
        strip |= strip.max(axis=0, keepdims=True)
    for strip in (bits[:, :_EDGE], bits[:, -_EDGE:]):
        strip |= strip.max(axis=1, keepdims=True)
