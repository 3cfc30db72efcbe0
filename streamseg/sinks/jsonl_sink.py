"""The data of every frame as JSON Lines; the format is documented in docs/jsonl.md."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamseg.errors import SinkError
from streamseg.sinks.line_file import LineFile
from streamseg.structures import STAGES, Redaction, Result

__all__ = ["SCHEMA_VERSION", "JsonlSink", "iso_utc", "record"]

SCHEMA_VERSION = 1
"""`schema` of every line; docs/jsonl.schema.json describes it."""


class JsonlSink:
    """Appends one line per frame to a file, or to standard output when the path is `-`.

    Every line is handed to the operating system whole, in one write, before `write` returns: a kill
    loses no frame that was written, and a disk that fills up leaves no part of a line. An existing
    file is replaced when the first frame arrives.
    """

    needs_canvas = False

    def __init__(self, path: str | Path) -> None:
        """Raises SinkError if the file cannot be written."""
        self._file = LineFile(path)
        self.path = self._file.path
        # Kept: wall-clock times of one file keep their order when the clock is set back.
        self._wall_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()

    @property
    def frames(self) -> int:
        """Lines written."""
        return self._file.lines

    def write(self, result: Result) -> None:
        """Write one line. Raises SinkError."""
        self._file.write(self._line(result))

    def close(self) -> None:
        """Close the file; every line is in it already."""
        self._file.close()

    def _line(self, result: Result) -> bytes:
        ahead_ns = time.time_ns() - time.monotonic_ns() - self._wall_minus_monotonic_ns
        if ahead_ns > 1_000_000_000:  # the clock was set forward; one that is set back is not followed
            self._wall_minus_monotonic_ns += ahead_ns
        made = record(result, self._wall_minus_monotonic_ns)
        try:
            text = json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            frame = result.frame
            raise SinkError(
                f"{self._file.name}: frame {frame.index} of {frame.source_id}: a number that is not finite, "
                "which JSON has no word for; leave such instances out"
            ) from error
        return text.encode() + b"\n"


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
        "captured": iso_utc(captured_ns),
        "captured_from": frame.utc_from,
        "processed": iso_utc(now_ns + wall_minus_monotonic_ns),
        "age_ms": round((now_ns - frame.captured_ns) / 1e6, 1),
        "stage_ms": {stage: _stage_ms(result, stage) for stage in STAGES},
        "recent_age_ms": [round(quantile, 1) for quantile in recent] if recent else None,
        "coasted": result.coasted,
        "instances": _instances(result),
        **({"redaction": _redaction(result.redaction)} if result.redaction else {}),
    }


def _redaction(what: Redaction) -> dict[str, Any]:
    """How much was covered; nothing of where."""
    return {
        "covered": dict(what.covered),
        "remembered": what.remembered,
        "revealed": list(what.revealed),
        "filled": what.filled,
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


def iso_utc(wall_ns: int) -> str:
    """Wall-clock nanoseconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ns % 1_000_000_000 // 1_000_000:03d}Z"
