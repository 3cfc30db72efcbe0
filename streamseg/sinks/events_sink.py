"""Events as JSON Lines, each in a CloudEvents 1.0 envelope; the format is documented in docs/events.md."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from streamseg.sinks.jsonl_sink import iso_utc
from streamseg.sinks.line_file import LineFile
from streamseg.structures import Event, Frame, Result

__all__ = ["EVENT_SCHEMA_VERSION", "Envelopes", "EventsSink", "as_json", "envelope"]

EVENT_SCHEMA_VERSION = 1
"""`schema` of every event's data; docs/events.schema.json describes it."""

MOST_OPEN = 100_000
"""Things that go on at once, of which the end is written when the file is closed."""


class EventsSink:
    """Appends one line per event to a file, or to standard output when the path is `-`.

    Lines are as safe as those of `JsonlSink`. What still goes on when the run ends is ended by `close`, at
    the last frame that was seen of its source.
    """

    needs_canvas = False
    misses_nothing = True

    def __init__(self, path: str | Path) -> None:
        """Raises SinkError if the file cannot be written."""
        self._file = LineFile(path)
        self.path = self._file.path
        self.frames = 0
        """Frames looked at."""
        self._envelopes = Envelopes()

    def write(self, result: Result) -> None:
        """Write the events of one frame. Raises SinkError."""
        if not self.frames:
            self._file.write(b"")  # a run without events leaves an empty file, not one of another run
        self._put(self._envelopes.of(result))
        self.frames += 1

    def counters(self) -> dict[str, int]:
        return {"events": self._file.lines - (self.frames > 0)}

    def close(self) -> None:
        """End what goes on, and close the file."""
        try:
            self._put(self._envelopes.rest())
        finally:
            self._file.close()

    def _put(self, made: list[dict[str, Any]]) -> None:
        for envelope_ in made:
            self._file.write(as_json(envelope_).encode() + b"\n")


class Envelopes:
    """The events of one frame after another, and in the end those that end what goes on."""

    def __init__(self, wall_minus_monotonic_ns: int | None = None) -> None:
        """`wall_minus_monotonic_ns`: added to `captured_ns` of frames; None: as the clocks stand now."""
        now_ns = time.time_ns() - time.monotonic_ns()
        self._wall_minus_monotonic_ns = now_ns if wall_minus_monotonic_ns is None else wall_minus_monotonic_ns
        self._open: dict[str, Event] = {}
        self._last: dict[str, Frame] = {}

    def of(self, result: Result) -> list[dict[str, Any]]:
        """The CloudEvents of one frame."""
        frame = result.frame
        self._last[frame.source_id] = replace(frame, image=frame.image[:1, :1].copy())
        for event in result.events:
            if event.phase == "started" and len(self._open) < MOST_OPEN:
                self._open[event.id] = event
            elif event.phase == "ended":
                self._open.pop(event.id, None)
        return [self._made(event, frame) for event in result.events]

    def rest(self) -> list[dict[str, Any]]:
        """The end of what goes on, at the last frame of its source; empty the second time."""
        going_on, self._open = self._open, {}
        frames = {id_: self._last[event.source_id] for id_, event in going_on.items()}
        return [self._made(_ended(event, frames[id_]), frames[id_]) for id_, event in going_on.items()]

    def _made(self, event: Event, frame: Frame) -> dict[str, Any]:
        arrived_ns = frame.captured_ns + self._wall_minus_monotonic_ns
        return envelope(event, arrived_ns if frame.utc_ns is None else frame.utc_ns)


def as_json(made: dict[str, Any]) -> str:
    """One line without its end."""
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _ended(event: Event, frame: Frame) -> Event:
    seconds = round(max(frame.pts_seconds - event.at_seconds, 0.0), 6)
    return replace(
        event,
        phase="ended",
        frame_index=frame.index,
        pts_seconds=frame.pts_seconds,
        at_seconds=frame.pts_seconds,
        data={"seconds": seconds, "reason": "stream ended"},
    )


def envelope(event: Event, captured_wall_ns: int) -> dict[str, Any]:
    """One event as a CloudEvent; `captured_wall_ns` is when the frame of the decision was captured, in
    nanoseconds since 1970."""
    ago_ns = round((event.pts_seconds - event.at_seconds) * 1e9)
    return {
        "specversion": "1.0",
        "id": f"{event.id}-{event.phase}",
        "source": "/streamseg/" + quote(event.source_id, safe=""),
        "type": f"streamseg.{event.kind}.{event.phase}",
        "subject": event.rule,
        "time": iso_utc(captured_wall_ns - ago_ns),
        "datacontenttype": "application/json",
        "dataschema": f"urn:streamseg:event:{EVENT_SCHEMA_VERSION}",
        "data": {
            "schema": EVENT_SCHEMA_VERSION,
            "event": event.id,
            "kind": event.kind,
            "rule": event.rule,
            "phase": event.phase,
            "source": event.source_id,
            "frame": event.frame_index,
            "pts": round(event.pts_seconds, 6),
            "at": round(event.at_seconds, 6),
            "track": event.track,
            "class": event.class_name,
            "detail": dict(event.data),
        },
    }
