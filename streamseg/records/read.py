"""JSON Lines or a record of a run, read frame by frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamseg.addresses import printable
from streamseg.errors import DatasetError
from streamseg.masks import Region, Rle, region_of_rle, rles_from_runs
from streamseg.records.block import FrameBlock
from streamseg.records.store import RunRecord, is_record

__all__ = ["RecordedFrame", "RecordedInstance", "read_frames"]

MOST_FRAMES = 100_000_000
MOST_LINE = 64 * 1024 * 1024
"""Bytes of one frame; a line that is longer is not one of ours."""


@dataclass(frozen=True, slots=True)
class RecordedInstance:
    """One instance of a line."""

    track: int | None
    class_name: str
    score: float
    box: tuple[float, float, float, float]
    """x1 y1 x2 y2, pixels."""
    rle: Rle

    @property
    def region(self) -> Region:
        """Its pixels."""
        return region_of_rle(self.rle)


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One line."""

    source: str
    index: int
    pts_seconds: float
    instances: tuple[RecordedInstance, ...]
    """By descending score."""


def read_frames(path: str | Path) -> Iterator[RecordedFrame]:
    """The frames of a file that `--jsonl` or `--record` wrote; its end may have broken off.

    Raises DatasetError, naming file and line.
    """
    path = Path(path)
    if is_record(path):
        yield from _of_record(path)
        return
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MOST_LINE), b""), start=1):
                if not line.endswith(b"\n"):
                    return
                yield _frame(line, f"{printable(path)} line {number}")
    except OSError as error:
        raise DatasetError(f"{printable(path)}: cannot be read ({error.strerror})") from error


def _of_record(path: Path) -> Iterator[RecordedFrame]:
    """Source by source."""
    with RunRecord(path) as recording:
        for take in recording.takes:
            names = take.header.classes
            for block in recording.blocks(take):
                for k, size_hw in enumerate(block.size_hw.tolist()):
                    yield _recorded(block, k, take.name, names, (size_hw[0], size_hw[1]))


def _recorded(
    block: FrameBlock, k: int, source: str, names: tuple[str, ...], size_hw: tuple[int, int]
) -> RecordedFrame:
    rows = range(int(block.start[k]), int(block.start[k + 1]))
    assert block.runs
    rles = rles_from_runs([block.runs.of(row) for row in rows], size_hw)
    instances = [
        RecordedInstance(
            int(block.id[row]) if block.id[row] >= 0 else None,
            names[block.class_id[row]],
            float(block.score[row]),
            (x1, y1, x2, y2),
            rle,
        )
        for row, rle in zip(rows, rles, strict=True)
        for x1, y1, x2, y2 in [block.xyxy[row].tolist()]
    ]
    return RecordedFrame(source, int(block.index[k]), float(block.pts_seconds[k]), tuple(instances))


def _frame(line: bytes, where: str) -> RecordedFrame:
    try:
        made = json.loads(line)
        if made["schema"] != 1:
            raise ValueError(f"schema {made['schema']}, this version reads 1")
        instances = tuple(_instance(one) for one in made["instances"])
        if len({tuple(one.rle["size"]) for one in instances}) > 1:
            raise ValueError("masks of several sizes in one frame")
        if not 0 <= int(made["index"]) < MOST_FRAMES:
            raise ValueError(f"frame number {made['index']}")
        return RecordedFrame(str(made["source"]), int(made["index"]), float(made["pts"]), instances)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DatasetError(f"{where}: not a line of streamseg run --jsonl ({reason})") from error


def _instance(one: dict[str, Any]) -> RecordedInstance:
    x1, y1, x2, y2 = (float(side) for side in one["box"])
    height, width = (int(side) for side in one["mask"]["size"])
    if not (0 < height <= 65536 and 0 < width <= 65536):
        raise ValueError(f"a picture of {width}×{height}")
    rle = Rle(size=[height, width], counts=str(one["mask"]["counts"]))
    track = None if one["id"] is None else int(one["id"])
    return RecordedInstance(track, str(one["class"]), float(one["score"]), (x1, y1, x2, y2), rle)
