"""Runs of many masks as few small numbers, without loss: what a record keeps of masks.

Down neighbouring columns with as many runs each (a segment) an edge moves by little: each edge of a segment
is its first row and then the steps from column to column, which a compressor makes 1 to 3 bits each. The
numbers beside soft cells, of which pixels are interpolated, are in docs/record.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from streamseg.masks.runs import Indices, Runs

__all__ = ["PackedRuns", "RaggedRuns", "pack_runs", "unpack_runs"]

Whole = NDArray[np.int64]

_MOST_SIDE = 1 << 17
"""Columns or edges of one segment; frames have sides up to half of it."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedRuns:
    """The runs of N masks as columns of int64."""

    segments: Whole
    """(N,) how many segments each mask has."""
    gap: Whole
    """(S,) columns between a segment and the one before it; of a mask's first the column where it begins."""
    columns: Whole
    """(S,) how many columns it has, from 1."""
    edges: Whole
    """(S,) edges down each of its columns, two for each run, from 2."""
    heads: Whole
    """(P,) where the edges of each segment begin, from the one above; topmost ones from those before."""
    steps: Whole
    """(T,) from column to column along each edge, edge by edge."""


@dataclass(frozen=True, slots=True, eq=False)
class RaggedRuns:
    """The runs of N masks, one behind the other."""

    column: Whole
    """(R,) as of `Runs`."""
    row: Whole
    """(R,)"""
    start: list[int]
    """N + 1 places where masks begin and end."""

    def of(self, k: int) -> Runs:
        """Those of mask `k`; views."""
        here = slice(self.start[k], self.start[k + 1])
        return Runs(self.column[here], self.row[here])


def pack_runs(masks: Sequence[Runs]) -> PackedRuns:
    """The same in few numbers. The columns of a mask must ascend, and hold both ends of each run."""
    lengths = np.array([len(runs.row) for runs in masks], np.int64)
    if not lengths.sum():
        nothing = np.zeros(0, np.int64)
        return PackedRuns(np.zeros(len(masks), np.int64), *[nothing] * (len(fields(PackedRuns)) - 1))
    x = np.concatenate([runs.column for runs in masks])
    y = np.concatenate([runs.row for runs in masks])
    of = np.repeat(np.arange(len(masks)), lengths)
    first = _changes(x) | _changes(of)
    at = np.flatnonzero(first)
    edges, x, of = np.diff(at, append=len(first)), x[at], of[at]
    head = _changes(of) | (np.diff(x, prepend=x[0]) != 1) | _changes(edges)
    place = np.flatnonzero(head)
    columns, edges, x, of = np.diff(place, append=len(head)), edges[place], x[place], of[place]
    ways = _Ways(columns, edges)
    y = y[ways.order()]
    end = np.concatenate([[0], (x + columns)[:-1]])
    gap = x - np.where(_changes(of), 0, end)
    heads = y[ways.start]
    relative = np.diff(heads, prepend=0)
    relative[ways.top] = np.diff(heads[ways.top], prepend=0)
    steps = np.diff(y, prepend=0)[ways.is_step()]
    return PackedRuns(np.bincount(of, minlength=len(masks)), gap, columns, edges, relative, steps)


def unpack_runs(packed: PackedRuns, frame_hw: NDArray[np.int64]) -> RaggedRuns:
    """What `pack_runs` was given; `frame_hw` (N, 2) are the heights and widths of the masks' frames.

    Raises ValueError where the numbers cannot be those of masks in such frames.
    """
    _check(packed, frame_hw)
    if not len(packed.columns):
        return RaggedRuns(np.zeros(0, np.int64), np.zeros(0, np.int64), [0] * (len(packed.segments) + 1))
    ways = _Ways(packed.columns, packed.edges)
    if len(packed.heads) != len(ways.start) or len(packed.steps) != ways.total - len(ways.start):
        raise ValueError("edges of masks are missing")
    top = np.cumsum(packed.heads[ways.top])
    down = np.where(ways.is_top(), 0, packed.heads)
    heads = _from(np.cumsum(down), ways.top, top, packed.edges)
    moves = np.zeros(ways.total, np.int64)
    moves[ways.is_step()] = packed.steps
    y = np.empty(ways.total, np.int64)
    y[ways.order()] = _from(np.cumsum(moves), ways.start, heads, ways.length)
    # Where segments begin: gaps and columns before them, summed up within each mask.
    steps = packed.gap + np.concatenate([[0], packed.columns[:-1]])
    of_mask = packed.segments[packed.segments > 0]
    first = np.cumsum(of_mask) - of_mask
    x = _from(np.cumsum(steps), first, packed.gap[first], of_mask)
    before = np.cumsum(packed.columns) - packed.columns
    every = np.repeat(x - before, packed.columns) + np.arange(int(packed.columns.sum()))
    column = np.repeat(every, np.repeat(packed.edges, packed.columns))
    sizes = np.zeros(len(packed.segments) + 1, np.int64)
    seen = np.repeat(np.arange(len(packed.segments)), packed.segments)
    sizes[1:] = np.bincount(seen, ways.length_of_segment, len(packed.segments)).astype(np.int64)
    start = np.cumsum(sizes)
    _check_places(column, y, start, frame_hw)
    return RaggedRuns(column, y, start.tolist())


class _Ways:
    """The edges of all segments: as they lie in `steps`, one behind the other, and where they are in runs."""

    def __init__(self, columns: Whole, edges: Whole) -> None:
        self.length_of_segment = columns * edges
        self.total = int(self.length_of_segment.sum())
        self.length = np.repeat(columns, edges)
        """(P,) of each edge, columns."""
        self.start = np.cumsum(self.length) - self.length
        """(P,) where it begins among `total`."""
        self.top = np.cumsum(edges) - edges
        """(S,) the topmost edge of each segment."""
        self._edges = edges

    def is_top(self) -> NDArray[np.bool_]:
        made = np.zeros(len(self.length), np.bool_)
        made[self.top] = True
        return made

    def is_step(self) -> NDArray[np.bool_]:
        made = np.ones(self.total, np.bool_)
        made[self.start] = False
        return made

    def order(self) -> Indices:
        """(total,) where in runs, column by column, what lies here edge by edge is found."""
        segment = np.cumsum(self.length_of_segment) - self.length_of_segment
        edge = np.arange(len(self.length)) - np.repeat(self.top, self._edges)
        stride = np.repeat(self._edges, self._edges)
        base = np.repeat(segment, self._edges) + edge - self.start * stride
        return np.asarray(
            np.repeat(base, self.length) + np.arange(self.total) * np.repeat(stride, self.length), np.int64
        )


def _changes(values: Whole) -> NDArray[np.bool_]:
    made = np.ones(len(values), np.bool_)
    made[1:] = values[1:] != values[:-1]
    return made


def _from(sums: Whole, first: Whole, value: Whole, length: Whole) -> Whole:
    """Running `sums`, cut into pieces of `length` from `first` on, each moved to begin at `value`."""
    return sums + np.repeat(value - sums[first], length)


def _check(packed: PackedRuns, frame_hw: NDArray[np.int64]) -> None:
    sound = (
        len(frame_hw) == len(packed.segments)
        and (packed.segments >= 0).all()
        and len(packed.gap) == len(packed.columns) == len(packed.edges) == packed.segments.sum()
        and ((packed.columns >= 1) & (packed.columns <= _MOST_SIDE)).all()
        and ((packed.edges >= 2) & (packed.edges <= _MOST_SIDE)).all()
        and not (packed.edges % 2).any()
    )
    # Before anything is made of them: so many numbers there are.
    if not sound or int((packed.columns * packed.edges).sum()) != len(packed.heads) + len(packed.steps):
        raise ValueError("segments of masks do not fit together")


def _check_places(column: Whole, row: Whole, start: Whole, frame_hw: NDArray[np.int64]) -> None:
    height, width = np.repeat(frame_hw, np.diff(start), axis=0).T
    falls = row[1::2] < row[::2]
    if ((column < 0) | (column >= width) | (row < 0) | (row > height)).any() or falls.any():
        raise ValueError("a mask reaches beyond its frame")
