"""Frames → instances: the engine's stage, shared by all sources. Tested in tests/streaming/test_follow.py."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from streamseg.segmenter import Segmenter
from streamseg.streaming.contract import LatencyContract
from streamseg.structures import Frame, Instances, Segmented

__all__ = ["Choice", "Segment"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which instances are kept; as of `Segmenter`."""

    score: float
    classes: frozenset[int] | None
    double_iou: float


class Segment:
    """Frames → instances, by one engine for all sources.

    With `overlap` the engine works on the last batch while the next frames come in: throughput, for files.
    Without, every frame leaves in the call it came with, and the next that is taken is the newest there is:
    a frame taken while the engine still works would be older by up to a call when its turn comes.
    """

    def __init__(
        self, segmenter: Segmenter, *, overlap: bool = True, contract: LatencyContract | None = None
    ) -> None:
        """`contract`: what is promised of ages, without overlap only."""
        self._segmenter = segmenter
        self._overlap = overlap
        self._contract = contract
        self._asked: Choice | None = None
        self._used: Choice | None = None

    def use(self, choice: Choice) -> None:
        """From the next batch on. From any thread."""
        self._asked = choice

    def process(self, items: list[Frame]) -> Iterable[Segmented]:
        asked = self._asked
        if asked is not None and asked is not self._used:
            self._segmenter.choose(asked.score, asked.classes, asked.double_iou)
            self._used = asked
        if self._contract:
            return self._kept(items, self._contract)
        work = self._segmenter.process if self._overlap else self._segmenter.segment
        return _stamped(work(items))

    def _kept(self, items: list[Frame], contract: LatencyContract) -> Iterator[Segmented]:
        """Those that go past the engine first: they need not wait for it."""
        to_infer, to_coast = contract.choose(items)
        yield from _stamped(
            Segmented(frame, Instances.empty(frame.size_hw), coasted=True) for frame in to_coast
        )
        if to_infer:
            began = time.perf_counter()
            done = self._segmenter.segment(to_infer)
            contract.ladder.worked(len(to_infer), time.perf_counter() - began)
            yield from _stamped(done)

    def idle(self) -> Iterable[Segmented]:
        """What the engine still works on, waited for; to be called when no frame is waiting."""
        return _stamped(self._segmenter.idle())

    def drain(self) -> Iterable[Segmented]:
        return _stamped(self._segmenter.drain())

    def forget(self, source: str) -> None:
        """Free what was kept of a source that has ended."""
        if self._contract:
            self._contract.forget(source)

    def close(self) -> None:
        self._segmenter.close()


def _stamped(segmented: Iterable[Segmented]) -> Iterator[Segmented]:
    now = time.monotonic_ns()
    for item in segmented:
        yield replace(item, stamps=replace(item.stamps, segment=now))
