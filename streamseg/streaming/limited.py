"""An end after so many frames of a source. Tested in tests/streaming/test_threads.py."""

from __future__ import annotations

from collections.abc import Iterator

from streamseg.capture.source import Source
from streamseg.structures import Frame

__all__ = ["Limited"]


class Limited:
    """A source that ends when `max_frames` of its frames have come through.

    Where frames are dropped on the way, those are counted that were not: whoever is behind the last place
    that drops calls `admit` for each. Elsewhere every captured frame comes through.
    """

    def __init__(self, source: Source, max_frames: int, *, drops: bool) -> None:
        self._source = source
        self._max_frames = max_frames
        self._drops = drops
        self._admitted = 0

    def __iter__(self) -> Iterator[Frame]:
        for count, frame in enumerate(self._source, start=1):
            yield frame
            if not self._drops and count >= self._max_frames:
                return

    def admit(self) -> bool:
        """Whether one frame more is wanted; ends the source with the last. For one thread."""
        self._admitted += 1
        if self._drops and self._admitted == self._max_frames:
            self._source.interrupt()
        return self._admitted <= self._max_frames

    def interrupt(self) -> None:
        self._source.interrupt()

    def close(self) -> None:
        self._source.close()
