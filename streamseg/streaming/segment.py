"""Frames → instances: the engine's stage, shared by all sources."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from streamseg.capture.source import Source
from streamseg.segmenter import Segmenter
from streamseg.structures import Frame, Segmented

__all__ = ["Limited", "Segment"]


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
    """Frames → instances, by one engine for all sources.

    With `overlap` the engine works on the last batch while the next frames come in; without, every frame
    leaves in the call it came with.
    """

    def __init__(self, segmenter: Segmenter, *, overlap: bool = True) -> None:
        self._segmenter = segmenter
        self._overlap = overlap

    def process(self, items: list[Frame]) -> Iterable[Segmented]:
        work = self._segmenter.process if self._overlap else self._segmenter.segment
        return self._stamped(work(items))

    def idle(self) -> Iterable[Segmented]:
        """What the engine still works on, waited for; to be called when no frame is waiting."""
        return self._stamped(self._segmenter.idle())

    def drain(self) -> Iterable[Segmented]:
        return self._stamped(self._segmenter.drain())

    def close(self) -> None:
        self._segmenter.close()

    @staticmethod
    def _stamped(segmented: Iterable[Segmented]) -> Iterator[Segmented]:
        now = time.monotonic_ns()
        for item in segmented:
            yield replace(item, stamps=replace(item.stamps, segment=now))
