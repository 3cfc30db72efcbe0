"""About a second of one source, as columns: what a record keeps, and results made of it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from streamseg.masks import Masks, Runs
from streamseg.masks.packed import PackedRuns, RaggedRuns, pack_runs, unpack_runs
from streamseg.records.columns import ColumnReader, ColumnWriter
from streamseg.structures import Frame, Instances, Result, Tracks, TrackState, UtcSource

__all__ = ["MOST_FRAMES_OF_A_BLOCK", "FrameBlock", "PackedBlock", "Row", "block_of", "unpacked_block"]

MOST_FRAMES_OF_A_BLOCK = 60
_MOST_SIDE = 65536
_MOST_PIXELS = 2**27
_UTC_SOURCES: tuple[UtcSource | None, ...] = (None, *get_args(UtcSource))
_TRACK_BOX_STEPS = 16
"""Of a pixel: the tracker's boxes are drawn as trails, and nothing is decided by them."""

Whole = NDArray[np.int64]
Boxes = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One frame without its picture, as it waits for its block."""

    index: int
    pts_seconds: float
    captured_ns: int
    """Nanoseconds since 1970: as `utc_from` says, or when the frame left the decoder."""
    utc_from: UtcSource | None
    ages_us: tuple[int, int, int]
    """Microseconds from the decoder until engine, tracker and record had finished; -1: not gone through."""
    coasted: bool
    size_hw: tuple[int, int]
    class_id: NDArray[np.int32]
    score: NDArray[np.float32]
    xyxy: Boxes
    tracks: Tracks
    runs: Sequence[Runs]


@dataclass(frozen=True, slots=True, eq=False)
class FrameBlock:
    """F frames of one source with N instances in all, in order."""

    index: Whole
    """(F,)"""
    pts_seconds: NDArray[np.float64]
    """(F,)"""
    captured_ns: Whole
    """(F,) as of `Row`."""
    utc_from: Whole
    """(F,) 0 for None, else the place in UtcSource from 1."""
    ages_us: Whole
    """(F, 3)"""
    coasted: NDArray[np.bool_]
    """(F,)"""
    size_hw: Whole
    """(F, 2)"""
    start: Whole
    """(F + 1,) where the instances of each frame begin."""
    id: Whole
    """(N,) -1: no track."""
    state: NDArray[np.uint8]
    """(N,) values of TrackState."""
    age_ms: Whole
    """(N,) of the track."""
    class_id: Whole
    """(N,)"""
    score: NDArray[np.float32]
    """(N,)"""
    xyxy: Boxes
    """(N, 4)"""
    track_xyxy: Boxes
    """(N, 4) to 1/16 pixel."""
    runs: RaggedRuns | None
    """N masks; None where only the numbers were read."""

    def __len__(self) -> int:
        return len(self.index)

    def frame(self, k: int, source_id: str, image: NDArray[np.uint8]) -> Frame:
        """Frame `k` with a picture; `captured_ns` is wall-clock time here, as no other is left."""
        captured = int(self.captured_ns[k])
        utc_from = _UTC_SOURCES[int(self.utc_from[k])]
        utc = None if utc_from is None else captured
        return Frame(
            image, int(self.index[k]), float(self.pts_seconds[k]), captured, source_id, utc, utc_from
        )

    def result(self, k: int, frame: Frame, class_names: tuple[str, ...]) -> Result:
        """What was recorded of frame `k`. Raises ValueError where the masks were not read."""
        if self.runs is None:
            raise ValueError("FrameBlock.result: this block was read without its masks")
        first, end = int(self.start[k]), int(self.start[k + 1])
        here = slice(first, end)
        size_hw = int(self.size_hw[k, 0]), int(self.size_hw[k, 1])
        runs = tuple(self.runs.of(n) for n in range(first, end))
        no_cells = Masks(np.zeros((end - first, 0, 0), np.uint8), (1.0, 1.0), size_hw)
        instances = Instances(
            self.xyxy[here], self.score[here], self.class_id[here].astype(np.int32), no_cells, runs
        )
        age = (self.age_ms[here] / 1e3).astype(np.float32)
        tracks = Tracks(self.id[here], age, self.state[here], self.track_xyxy[here])
        return Result(frame, instances, tracks, class_names, coasted=bool(self.coasted[k]))


class PackedBlock(NamedTuple):
    """The bytes of a block."""

    numbers: bytes
    masks: bytes


def block_of(rows: Sequence[Row]) -> PackedBlock:
    """The bytes of at least one and at most MOST_FRAMES_OF_A_BLOCK frames."""
    return PackedBlock(_numbers(rows), _masks([runs for row in rows for runs in row.runs]))


def _numbers(rows: Sequence[Row]) -> bytes:
    out = ColumnWriter()
    counts = np.array([len(row.score) for row in rows])
    out.whole(np.array([len(rows), counts.sum()]))
    out.whole(counts)
    out.whole(np.diff([row.index for row in rows], prepend=0))
    out.bits(np.diff(np.array([row.pts_seconds for row in rows]).view(np.int64), prepend=0))
    out.bits(np.diff(np.array([row.captured_ns for row in rows], np.int64), prepend=0))
    out.whole(np.array([_UTC_SOURCES.index(row.utc_from) for row in rows]))
    for stage in range(3):
        out.bits(np.diff(np.array([row.ages_us[stage] for row in rows], np.int64), prepend=0))
    out.whole(np.array([row.coasted for row in rows]))
    for side in range(2):
        out.whole(np.diff([row.size_hw[side] for row in rows], prepend=0))
    ids = np.concatenate([row.tracks.id for row in rows])
    order = np.argsort(ids, kind="stable")
    out.whole(ids)
    for column in (
        np.concatenate([row.tracks.state for row in rows]).astype(np.int64),
        np.concatenate([row.class_id for row in rows]).astype(np.int64),
        np.rint(np.concatenate([row.tracks.age_seconds for row in rows]) * 1e3).astype(np.int64),
    ):
        # Along each track: it changes little from frame to frame.
        out.whole(np.diff(column[order], prepend=0))
    out.bits(np.concatenate([row.score for row in rows])[order])
    xyxy = np.concatenate([row.xyxy for row in rows])[order]
    off = np.concatenate([row.tracks.xyxy for row in rows])[order] - xyxy
    for side in range(4):
        out.bits(np.diff(np.ascontiguousarray(xyxy[:, side]).view(np.int32), prepend=np.int32(0)))
    for side in range(4):
        out.whole(np.rint(np.nan_to_num(off[:, side]) * _TRACK_BOX_STEPS).astype(np.int64))
    return out.finish()


def _masks(runs: Sequence[Runs]) -> bytes:
    packed = pack_runs(runs)
    out = ColumnWriter()
    out.whole(np.array([len(packed.gap), len(packed.heads), len(packed.steps)]))
    out.whole(packed.segments)
    out.whole(packed.gap)
    out.whole(packed.columns)
    out.whole(packed.edges)
    out.whole(packed.heads)
    out.steps(packed.steps)
    return out.finish()


def unpacked_block(packed: PackedBlock, classes: int, *, with_masks: bool = True) -> FrameBlock:
    """What `block_of` was given, exactly; of tracks ages to a millisecond and boxes to 1/16 pixel.

    `classes`: how many there are. Raises ValueError where the bytes are not those of a block.
    """
    read = ColumnReader(packed.numbers)
    frames, instances = read.whole(2).tolist()
    if not 1 <= frames <= MOST_FRAMES_OF_A_BLOCK or instances < 0:
        raise ValueError(f"{frames} frames of {instances} instances")
    counts = read.whole(frames)
    if (counts < 0).any() or counts.sum() != instances:
        raise ValueError("instances do not belong to frames")
    index = np.cumsum(read.whole(frames))
    pts = np.cumsum(read.bits(frames, np.int64)).view(np.float64)
    captured = np.cumsum(read.bits(frames, np.int64))
    utc_from = read.whole(frames)
    ages = np.stack([np.cumsum(read.bits(frames, np.int64)) for _ in range(3)], axis=1)
    coasted = read.whole(frames) != 0
    size_hw = np.stack([np.cumsum(read.whole(frames)) for _ in range(2)], axis=1)
    ids = read.whole(instances)
    order = np.argsort(ids, kind="stable")
    state, class_id, age_ms = (_placed(np.cumsum(read.whole(instances)), order) for _ in range(3))
    score = _placed(read.bits(instances, np.float32), order)
    boxes = np.stack([_placed(_summed(read, instances), order) for _ in range(4)], axis=1).view(np.float32)
    off = np.stack([_placed(read.whole(instances), order) for _ in range(4)], axis=1) / _TRACK_BOX_STEPS
    read.end()
    _check_rows(index, pts, utc_from, size_hw)
    if ((state < 0) | (state > max(TrackState)) | (class_id < 0) | (class_id >= classes)).any():
        raise ValueError("a class or state that there is not")
    runs = (
        _unpacked_masks(packed.masks, instances, np.repeat(size_hw, counts, axis=0)) if with_masks else None
    )
    return FrameBlock(
        index,
        pts,
        captured,
        utc_from,
        ages,
        coasted,
        size_hw,
        np.concatenate([[0], np.cumsum(counts)]),
        ids,
        state.astype(np.uint8),
        age_ms,
        class_id,
        score,
        boxes,
        (boxes + off).astype(np.float32),
        runs,
    )


def _unpacked_masks(content: bytes, instances: int, frame_hw: Whole) -> RaggedRuns:
    read = ColumnReader(content)
    segments, heads, steps = read.whole(3).tolist()
    if min(segments, heads, steps) < 0:
        raise ValueError("a number of edges below zero")
    packed = PackedRuns(
        read.whole(instances),
        read.whole(segments),
        read.whole(segments),
        read.whole(segments),
        read.whole(heads),
        read.steps(steps),
    )
    read.end()
    return unpack_runs(packed, frame_hw)


def _summed(read: ColumnReader, count: int) -> NDArray[np.int32]:
    return np.cumsum(read.bits(count, np.int32), dtype=np.int32)


def _placed(values: NDArray[Any], order: NDArray[np.intp]) -> NDArray[Any]:
    made = np.empty_like(values)
    made[order] = values
    return made


def _check_rows(index: Whole, pts: NDArray[np.float64], utc_from: Whole, size_hw: Whole) -> None:
    sound = (
        (index >= 0).all()
        and np.isfinite(pts).all()
        and ((utc_from >= 0) & (utc_from < len(_UTC_SOURCES))).all()
        and ((size_hw >= 1) & (size_hw <= _MOST_SIDE)).all()
        and (size_hw.prod(axis=1) <= _MOST_PIXELS).all()
    )
    if not sound:
        raise ValueError("a frame that cannot be")
