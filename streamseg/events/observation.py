"""What rules see of one frame: the tracked instances, and where their masks lie.

Masks are read as runs down columns of pixels, which overlay and JSON Lines need anyway. Of a mask wider than
32 pixels every second, third … column is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.events.shapes import Columns
from streamseg.masks import FrameMasks, Runs
from streamseg.structures import Instances, Tracks

__all__ = ["At", "Observation", "Strips", "observe", "strips_of"]

At = Literal["area", "foot", "centre", "box_foot"]
"""What of an object is asked where it is: its whole mask, the lowest rows of the mask, the mask's centre, or
the middle of the box's lower edge."""

MOST_COLUMNS = 32
MOST_INSTANCES = 1000
"""Of one frame, the surest."""
_FOOT = 0.05
"""The lowest part of a mask, by its height, that is the foot."""

Floats = NDArray[np.float64]


class Strips(NamedTuple):
    """Some columns of the masks of several instances, each instance's in a row."""

    x: NDArray[np.int64]
    """(S,) column of the frame."""
    top: NDArray[np.float32]
    """(S,) y at which a strip begins, pixels."""
    bottom: NDArray[np.float32]
    """(S,) y at which it ends, above `top`."""
    start: NDArray[np.int64]
    """(n,) the first strip of each instance, which has at least one."""

    def shares_in(self, columns: Columns) -> NDArray[np.float32]:
        """(n, Z) float32, 0…1: the share of each instance's area in each polygon."""
        length = self.bottom - self.top
        inside = np.zeros((len(self.start), columns.low.shape[2]), np.float32)
        top, bottom = self.top[:, None], self.bottom[:, None]
        for low, high in zip(columns.low, columns.high, strict=True):
            part, above = high.take(self.x, axis=0), low.take(self.x, axis=0)
            np.minimum(part, bottom, out=part)
            part -= np.maximum(above, top, out=above)
            inside += np.add.reduceat(np.maximum(part, 0, out=part), self.start)
        return np.asarray(inside / np.add.reduceat(length, self.start)[:, None], np.float32)


@dataclass(frozen=True)
class Observation:
    """The instances of one frame that have an id and a place; row k of every column is one of them."""

    now: float
    """Media time, seconds."""
    frame_hw: tuple[int, int]
    row: NDArray[np.intp]
    """(n,) row in the frame's Instances."""
    id: NDArray[np.int64]
    """(n,) ids of tracks, from 1."""
    class_id: NDArray[np.int32]
    """(n,)"""
    age: Floats
    """(n,) seconds since the first sight of its track, which gets its id later."""
    xyxy: Floats
    """(n, 4) boxes in frame pixels."""
    masks: FrameMasks
    """Of all instances of the frame."""

    def __len__(self) -> int:
        return len(self.id)

    @cached_property
    def strips(self) -> Strips:
        runs = self.masks.runs
        return strips_of([runs[k] for k in self.row.tolist()], self.xyxy, self.frame_hw[1])

    @cached_property
    def centre(self) -> Floats:
        """(n, 2) x y, frame pixels, of the mask's centre."""
        if not len(self):
            return np.zeros((0, 2))
        x, top, bottom, start = self.strips
        length = bottom - top
        sums = np.stack([length, (x + 0.5) * length, (top + bottom) / 2 * length], axis=1)
        area, at_x, at_y = np.add.reduceat(sums, start, dtype=np.float64).T
        return np.stack([at_x / area, at_y / area], axis=1)

    @cached_property
    def foot(self) -> Floats:
        """(n, 2) x y, frame pixels, of the middle of the mask's lowest rows, at their lower edge."""
        if not len(self):
            return np.zeros((0, 2))
        x, top, bottom, start = self.strips
        lowest = np.maximum.reduceat(bottom, start)
        height = lowest - np.minimum.reduceat(top, start)
        floor = np.repeat(lowest - np.maximum(1.0, _FOOT * height), np.diff(start, append=len(x)))
        depth = np.maximum(bottom - floor, 0)
        foot_x = np.add.reduceat((x + 0.5) * depth, start) / np.add.reduceat(depth, start)
        return np.stack([foot_x, lowest], axis=1)

    @cached_property
    def box_foot(self) -> Floats:
        """(n, 2) x y, frame pixels, of the middle of the box's lower edge."""
        return np.stack([(self.xyxy[:, 0] + self.xyxy[:, 2]) / 2, self.xyxy[:, 3]], axis=1)

    def point(self, at: At) -> Floats:
        """(n, 2) x y, frame pixels, of what is asked where it is; of an area the mask's centre."""
        return self.foot if at == "foot" else self.box_foot if at == "box_foot" else self.centre

    @cached_property
    def size(self) -> Floats:
        """(n,) root of the box's area, pixels."""
        sides = self.xyxy[:, 2:] - self.xyxy[:, :2]
        return np.asarray(np.sqrt(np.maximum(sides.prod(axis=1), 1.0)), np.float64)

    def shares(self, columns: Columns, at: At) -> NDArray[np.float32]:
        """(n, Z) the share of each object in each polygon; of a point 1 or 0."""
        if not len(self):
            return np.zeros((0, columns.low.shape[2]), np.float32)
        if at == "area":
            return self.strips.shares_in(columns)
        height, width = self.frame_hw
        x, y = self.point(at).T
        column = np.clip(x, 0, width - 1).astype(np.intp)
        # A point on the picture's lower edge is in what reaches down to it.
        y = np.clip(y, 0, height - 1e-3)[:, None]
        within = (columns.low[:, column] <= y) & (y < columns.high[:, column])
        return np.asarray(within.any(axis=0), np.float32)


def observe(instances: Instances, tracks: Tracks, now: float) -> Observation:
    """What rules see of these; instances without an id or a place are left out."""
    xyxy = instances.xyxy.astype(np.float64)
    sides = xyxy[:, 2:] - xyxy[:, :2]
    with np.errstate(invalid="ignore"):
        row = np.flatnonzero((tracks.id >= 1) & np.isfinite(xyxy).all(axis=1) & (sides > 0).all(axis=1))
    row = row[:MOST_INSTANCES]
    return Observation(
        now=now,
        frame_hw=instances.masks.frame_hw,
        row=row,
        id=tracks.id[row],
        class_id=instances.class_id[row],
        age=tracks.age_seconds[row].astype(np.float64),
        xyxy=xyxy[row],
        masks=instances.pixels,
    )


def strips_of(runs: list[Runs], xyxy: Floats, width: int) -> Strips:
    """Up to 32 or so runs of each instance, spread over its width; of a mask without a pixel, of its box."""
    if not runs:
        nothing = np.zeros(0, np.float32)
        return Strips(np.zeros(0, np.int64), nothing, nothing, np.zeros(0, np.int64))
    xs, tops, bottoms = [], [], []
    for k, (column, row) in enumerate(runs):
        if not len(row):
            column, row = _runs_of_box(xyxy[k], width)
        # Every so many runs, not columns: slices cost a third. An odd number: of a ring, whose columns have
        # two runs each, an even one would see the upper half alone.
        step = len(row) // (2 * MOST_COLUMNS + 2) + 1 | 1
        first, step = 2 * (step // 2), 2 * step
        xs.append(column[first::step])
        tops.append(row[first::step])
        bottoms.append(row[first + 1 :: step])
    counts = np.array([len(x) for x in xs])
    top = np.concatenate(tops).astype(np.float32)
    bottom = np.concatenate(bottoms).astype(np.float32)
    # A run without a pixel is as thin as nothing: an instance of such alone still has a place.
    bottom = np.maximum(bottom, top + np.float32(1e-3))
    return Strips(np.concatenate(xs), top, bottom, np.cumsum(counts) - counts)


def _runs_of_box(box: Floats, width: int) -> Runs:
    x1, y1, x2, y2 = box.tolist()
    first = min(max(int(x1), 0), width - 1)
    column = np.arange(first, max(min(int(np.ceil(x2)), width), first + 1))
    rows = np.tile(np.array([int(y1), max(int(np.ceil(y2)), int(y1) + 1)]), len(column))
    return Runs(np.repeat(column, 2).astype(np.int64), rows.astype(np.int64))
