"""One object that is covered: where it was seen, and where it may have been between, before and after.

Tested in tests/redaction/test_covers.py.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import cv2
import numpy as np

from streamseg.redaction.cells import Bits, CellPatch

__all__ = ["COAST_SECONDS", "Cover", "Sighting"]

Box = tuple[float, float, float, float]
Part = tuple[CellPatch, float, float]
"""Cells, and by how many pixels x y they are moved."""

COAST_SECONDS = 3.0
"""How long the place of what is not seen any more stays covered, at most."""
_LEAST_SECONDS, _SECONDS_PER_SCORE = 0.12, 0.4
"""The same for what was seen once and hardly believed; and so much more for each sighting, times its
score."""
_EXPLAINED = 0.8
"""Share of where an object should be that lies under what was found, from which on it is taken to be
there."""
_ESTABLISHED = 1.0
"""Scores that sum up to so much make an object; what has less is nearly always part of another, or
nothing."""
_PACE_SECONDS = 0.25
"""Over which the speed of an object is measured."""
_NEAR_SECONDS = 0.12
"""Masks seen so little earlier or later are laid over those of a frame: what one lacks, another has."""
_MARGIN = 0.05
"""Around every mask, as a share of the object's size, besides one cell."""
_GROWTH = 1.2
"""By how much of the object's size the margin grows for each second of not seeing it."""
_GROWTH_UNKNOWN = 2.5
"""The same for what was seen once: its speed is not known."""
_MOST_MARGIN = 0.8
_MOST_EXPLAINED_MARGIN = 0.15
"""Of what should be under others, or is hardly believed."""
_GONE = 0.3
"""Share of a box in the picture below which the object has left it."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What the engine found of an object in one frame."""

    t: float
    """Media time, seconds."""
    box: Box
    patch: CellPatch
    track: int
    """Id of its track; -1: none."""
    score: float

    @property
    def centre(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def size(self) -> float:
        """Of the box, pixels: the side of a square as large."""
        return math.sqrt(max(self.box[2] - self.box[0], 1.0) * max(self.box[3] - self.box[1], 1.0))


class Cover:
    """The sightings of one object, by time."""

    def __init__(self, first: Sighting) -> None:
        self.sightings = [first]
        self.times = [first.t]
        self.evidence = first.score
        """Scores of all its sightings."""
        self.ghost = False
        """Nothing goes on with it: it only waits and vanishes."""
        self.since_t = -math.inf
        """Before and at this time it covers nothing."""
        self.doubt_t = first.t
        """When it was last not certain which object this is."""
        self.until_t = math.inf
        """From when on it covers nothing."""
        self.mistakable = False
        """It may have been taken for another, or another for it: its id proves nothing any more."""
        self.ghosted_t = -np.inf
        """When a ghost was last made of it."""

    @property
    def last(self) -> Sighting:
        return self.sightings[-1]

    def add(self, sighting: Sighting) -> None:
        self.sightings.append(sighting)
        self.times.append(sighting.t)
        self.evidence += sighting.score

    def ghost_of(self, until_t: float) -> Cover:
        """The same, but that its next detection may have been another's."""
        ghost = Cover(self.sightings[0])
        ghost.sightings, ghost.times = list(self.sightings), list(self.times)
        ghost.evidence, ghost.ghost = self.evidence, True
        ghost.since_t, ghost.until_t = self.last.t, until_t
        return ghost

    def forget_before(self, t: float) -> None:
        """Keep what is needed from time `t` on."""
        unneeded = bisect_left(self.times, t - _PACE_SECONDS) - 1
        if unneeded > 0:
            del self.sightings[:unneeded], self.times[:unneeded]

    def expected(self, t: float) -> Box:
        """Where its box should be at `t`, after the last sighting."""
        last = self.last
        vx, vy = self._speed(len(self.times) - 1, -1)
        dx, dy = vx * (t - last.t), vy * (t - last.t)
        return last.box[0] + dx, last.box[1] + dy, last.box[2] + dx, last.box[3] + dy

    def leaves(self, frame_hw: tuple[int, int]) -> bool:
        """Whether in a second most of it should be out of the picture."""
        # At the border the middle of what is seen goes half as fast as the object.
        x1, y1, x2, y2 = self.expected(self.last.t + 2.0)
        inside = max(min(x2, frame_hw[1]) - max(x1, 0), 0) * max(min(y2, frame_hw[0]) - max(y1, 0), 0)
        return inside < _GONE * (x2 - x1) * (y2 - y1)

    @property
    def patience_s(self) -> float:
        """How long before and after it was seen it is covered."""
        return min(COAST_SECONDS, _LEAST_SECONDS + _SECONDS_PER_SCORE * self.evidence)

    def seen(self, t: float, side: int) -> CellPatch | None:
        """What to cover at time `t`, in cells of `side` pixels, where it was found then."""
        k = bisect_left(self.times, t)
        there = k < len(self.times) and self.times[k] == t and t > self.since_t
        return self._seen(k, side) if there else None

    def unseen(self, t: float, side: int, back_s: float, found: Bits) -> CellPatch | None:
        """The same where it was not; None where it is long gone, or comes more than `back_s` later. `found`:
        the cells of all that was: one that should be under others is not looked for everywhere."""
        if t <= self.since_t:
            return None
        k = bisect_left(self.times, t)
        before, after = k > 0, k < len(self.times)
        if before and after:
            parts, margin = self._between(t, k - 1, k)
        elif before and t - self.times[-1] <= self.patience_s and t < self.until_t:
            parts, margin = self._way(t, k - 1, -1)
        elif after and self.times[0] - t <= min(self.patience_s, back_s):
            parts, margin = self._way(t, 0, 1)
        else:
            return None
        least = _MOST_EXPLAINED_MARGIN * self.sightings[max(k - 1, 0)].size
        if margin > least and (
            self.evidence < _ESTABLISHED or share_under(laid(parts, 0.0, side), found) >= _EXPLAINED
        ):
            margin = least
        return laid(parts, margin, side)

    def _seen(self, k: int, side: int) -> CellPatch:
        here = self.sightings[k]
        cx, cy = here.centre
        near = [(here.patch, 0.0, 0.0)]
        low, high = max(k - 2, 0), min(k + 3, len(self.sightings))
        for other in (*self.sightings[low:k], *self.sightings[k + 1 : high]):
            if abs(other.t - here.t) <= _NEAR_SECONDS:
                ox, oy = other.centre
                near.append((other.patch, cx - ox, cy - oy))
        return laid(near, _MARGIN * here.size, side)

    def _between(self, t: float, before: int, after: int) -> tuple[list[Part], float]:
        """Both sightings, moved to where it should be between them."""
        a, b = self.sightings[before], self.sightings[after]
        share = (t - a.t) / (b.t - a.t)
        (ax, ay), (bx, by) = a.centre, b.centre
        dx, dy = bx - ax, by - ay
        size = max(a.size, b.size)
        margin = size * min(_MOST_MARGIN, _MARGIN + _GROWTH * min(t - a.t, b.t - t))
        moved = [(a.patch, share * dx, share * dy), (b.patch, (share - 1) * dx, (share - 1) * dy)]
        return moved, margin

    def _way(self, t: float, k: int, towards: int) -> tuple[list[Part], float]:
        """The sighting `k` all along the way that it may have gone until `t`, and the margin around it."""
        known = self.sightings[k]
        vx, vy = self._speed(k, towards)
        dt = t - known.t
        moving = len(self.sightings) > 1
        growth = abs(dt) * (_GROWTH if moving else _GROWTH_UNKNOWN)
        margin = known.size * min(_MOST_MARGIN, _MARGIN + growth)
        far = max(abs(vx * dt), abs(vy * dt))
        # Close enough for the stamps to touch: each is as wide as the object and its margin.
        steps = 1 + int(far / (0.5 * known.size + margin)) if far else 0
        shares = [step / steps for step in range(steps + 1)] if steps else [0.0]
        return [(known.patch, share * vx * dt, share * vy * dt) for share in shares], margin

    def _speed(self, k: int, towards: int) -> tuple[float, float]:
        """Pixels a second around sighting `k`, measured over those before it (-1) or after it (1)."""
        here = self.sightings[k]
        if towards < 0:
            j = min(bisect_left(self.times, here.t - _PACE_SECONDS), k)
        else:
            j = max(bisect_left(self.times, here.t + _PACE_SECONDS) - 1, k)
        other = self.sightings[j]
        if other.t == here.t:
            return 0.0, 0.0
        (hx, hy), (ox, oy) = here.centre, other.centre
        return (hx - ox) / (here.t - other.t), (hy - oy) / (here.t - other.t)


def laid(parts: list[Part], margin_px: float, side: int) -> CellPatch:
    """All `parts` in one patch, with a margin and one cell around."""
    reach = 1 + round(margin_px / side)
    placed = [(p.bits, p.x0 + round(dx / side), p.y0 + round(dy / side)) for p, dx, dy in parts]
    x0, y0 = min(x for _, x, _ in placed) - reach, min(y for _, _, y in placed) - reach
    x1 = max(x + bits.shape[1] for bits, x, _ in placed) + reach
    y1 = max(y + bits.shape[0] for bits, _, y in placed) + reach
    whole: Bits = np.zeros((y1 - y0, x1 - x0), np.uint8)
    for bits, x, y in placed:
        whole[y - y0 : y - y0 + bits.shape[0], x - x0 : x - x0 + bits.shape[1]] |= bits
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return CellPatch(x0, y0, np.asarray(cv2.dilate(whole, kernel), np.uint8))


def share_under(patch: CellPatch, found: Bits) -> float:
    """How much of the cells of `patch` that are in the picture lies under `found`; 0 where none are."""
    h, w = patch.bits.shape
    top, left = max(-patch.y0, 0), max(-patch.x0, 0)
    under = found[max(patch.y0, 0) : max(patch.y0 + h, 0), max(patch.x0, 0) : max(patch.x0 + w, 0)]
    inside = patch.bits[top : top + under.shape[0], left : left + under.shape[1]]
    return float(np.count_nonzero(inside & under)) / max(int(np.count_nonzero(inside)), 1)
