"""The data of every frame as JSON Lines; the format is documented in docs/jsonl.md."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamseg.addresses import printable
from streamseg.errors import SinkError
from streamseg.files import check_file_writable, is_pipe, write_failure
from streamseg.structures import STAGES, Result

__all__ = ["SCHEMA_VERSION", "JsonlSink", "record"]

SCHEMA_VERSION = 1
"""`schema` of every line; docs/jsonl.schema.json describes it."""

_READER_SECONDS, _LOOK_SECONDS = 2.0, 0.02
"""For a pipe: how long its reader may take to come, and how often to look."""


class JsonlSink:
    """Appends one line per frame to a file, or to standard output when the path is `-`.

    Every line is handed to the operating system whole, in one write, before `write` returns: a kill
    loses no frame that was written, and a disk that fills up leaves no part of a line. An existing
    file is replaced when the first frame arrives.
    """

    needs_canvas = False

    def __init__(self, path: str | Path) -> None:
        """Raises SinkError if the file cannot be written."""
        self.path = Path(path)
        self._to_stdout = str(path) == "-"
        self._name = Path("standard output") if self._to_stdout else self.path
        self._fd: int | None = None
        if not self._to_stdout:
            check_file_writable(self.path)
            self._fd = _open_pipe(self.path) if is_pipe(self.path) else None
        self.frames = 0
        """Lines written."""
        # Taken once: wall-clock times of one file then keep their order when the clock is set.
        self._wall_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()
        self._closed = False

    def write(self, result: Result) -> None:
        """Write one line. Raises SinkError."""
        if self._closed:
            raise SinkError(f"{printable(self._name)}: already closed")
        line = self._line(result)
        try:
            if self._fd is None:
                self._fd = self._open()
            _write_whole(self._fd, line)
        except OSError as error:
            self.close()
            raise write_failure(self._name, error) from error
        self.frames += 1

    def close(self) -> None:
        """Close the file; every line is in it already."""
        self._closed = True
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _line(self, result: Result) -> bytes:
        made = record(result, self._wall_minus_monotonic_ns)
        try:
            text = json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            frame = result.frame
            raise SinkError(
                f"{self._name}: frame {frame.index} of {frame.source_id}: a number that is not finite, which "
                "JSON has no word for; leave such instances out"
            ) from error
        return text.encode() + b"\n"

    def _open(self) -> int:
        if self._to_stdout:
            return os.dup(1)
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)


def _open_pipe(path: Path) -> int:
    """Open a named pipe for writing, once: to its reader, a close is the end. Raises SinkError.

    A plain open would wait for a reader for ever, and could not be interrupted.
    """
    until = time.monotonic() + _READER_SECONDS
    while True:
        try:
            number = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise write_failure(path, error) from error
            if time.monotonic() > until:
                name = printable(path)
                raise SinkError(f"{name}: nobody reads this pipe; start its reader first") from None
            time.sleep(_LOOK_SECONDS)
        else:
            os.set_blocking(number, True)
            return number


def record(result: Result, wall_minus_monotonic_ns: int) -> dict[str, Any]:
    """One line as a dictionary: boxes in frame pixels, `age_ms` from capture until now."""
    frame = result.frame
    now_ns = time.monotonic_ns()
    captured_ns = frame.captured_ns + wall_minus_monotonic_ns if frame.utc_ns is None else frame.utc_ns
    recent = result.recent_age_ms
    return {
        "schema": SCHEMA_VERSION,
        "source": frame.source_id,
        "index": frame.index,
        "pts": round(frame.pts_seconds, 6),
        "captured": _iso_utc(captured_ns),
        "captured_from": frame.utc_from,
        "processed": _iso_utc(now_ns + wall_minus_monotonic_ns),
        "age_ms": round((now_ns - frame.captured_ns) / 1e6, 1),
        "stage_ms": {stage: _stage_ms(result, stage) for stage in STAGES},
        "recent_age_ms": [round(quantile, 1) for quantile in recent] if recent else None,
        "coasted": result.coasted,
        "instances": _instances(result),
    }


def _stage_ms(result: Result, stage: str) -> float | None:
    return None if getattr(result.stamps, stage) is None else round(result.age_ms(stage), 1)


def _instances(result: Result) -> list[dict[str, Any]]:
    found = result.instances
    # One conversion per column: numpy scalars one by one cost more than the rest of the line.
    columns = zip(
        result.tracks.id.tolist(),
        found.class_id.tolist(),
        found.score.tolist(),
        found.xyxy.tolist(),
        found.pixels.rles,
        strict=True,
    )
    return [
        {
            "id": track_id if track_id >= 0 else None,
            "class": result.class_names[class_id],
            "score": round(score, 4),
            "box": [round(side, 2) for side in box],
            "mask": rle,
        }
        for track_id, class_id, score, box, rle in columns
    ]


def _iso_utc(wall_ns: int) -> str:
    moment = datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ns % 1_000_000_000 // 1_000_000:03d}Z"


def _write_whole(fd: int, line: bytes) -> None:
    """Write `line` completely, or, in a regular file, not at all. Raises OSError."""
    done = os.write(fd, line)
    try:
        while done < len(line):  # a pipe takes what fits; a disk that is filling up does too
            done += os.write(fd, line[done:])
    except OSError:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            os.ftruncate(fd, status.st_size - done)
        raise
