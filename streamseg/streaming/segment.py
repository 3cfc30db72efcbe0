"""Frames → instances: the engine's stage, shared by all sources."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from streamseg.capture.source import Source
from streamseg.segmenter import Segmenter
from streamseg.structures import Frame, Instances

__all__ = ["Limited", "Segment", "Segmented"]

Segmented = tuple[Frame, Instances, dict[str, int]]


class Limited:
    """A source that ends after `max_frames` frames."""

    def __init__(self, source: Source, max_frames: int) -> None:
        self._source = source
        self._max_frames = max_frames

    def __iter__(self) -> Iterator[Frame]:
        for count, frame in enumerate(self._source, start=1):
            yield frame
            if count >= self._max_frames:
                return

    def interrupt(self) -> None:
        self._source.interrupt()

    def close(self) -> None:
        self._source.close()


class Segment:
    """Frames → instances, by one engine for all sources."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def process(self, items: list[Frame]) -> Iterable[Segmented]:
        return self._stamped(self._segmenter.process(items))

    def drain(self) -> Iterable[Segmented]:
        return self._stamped(self._segmenter.drain())

    def close(self) -> None:
        self._segmenter.close()

    @staticmethod
    def _stamped(pairs: Iterable[tuple[Frame, Instances]]) -> Iterator[Segmented]:
        now = time.monotonic_ns()
        for frame, instances in pairs:
            yield frame, instances, {"segment": now}
