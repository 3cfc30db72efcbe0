"""A clip of the camera's own packets for every event."""

from __future__ import annotations

from collections.abc import Callable

from streamseg.structures import Result

__all__ = ["ClipSink"]


class ClipSink:
    """Orders a clip, named by the event's id, when something begins or happens."""

    needs_canvas = False
    misses_nothing = True

    def __init__(self, order: Callable[[str, str, int], bool]) -> None:
        """`order(source_id, name, at_ns)`: at a moment of time.monotonic_ns(); see Recorder.clip."""
        self._order = order

    def write(self, result: Result) -> None:
        for event in result.events:
            if event.phase in ("started", "happened"):
                ago_ns = round((event.pts_seconds - event.at_seconds) * 1e9)
                self._order(event.source_id, event.id, result.frame.captured_ns - ago_ns)

    def close(self) -> None: ...
