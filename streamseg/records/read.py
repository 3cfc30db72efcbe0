"""JSON Lines of a run, read frame by frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamseg.addresses import printable
from streamseg.errors import DatasetError
from streamseg.masks import Region, Rle, region_of_rle

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


def read_frames(path: Path) -> Iterator[RecordedFrame]:
    """The frames of a file that `--jsonl` wrote; the last line may have broken off.

    Raises DatasetError, naming file and line.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MOST_LINE), b""), start=1):
                if not line.endswith(b"\n"):
                    return
                yield _frame(line, f"{printable(path)} line {number}")
    except OSError as error:
        raise DatasetError(f"{printable(path)}: cannot be read ({error.strerror})") from error


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
