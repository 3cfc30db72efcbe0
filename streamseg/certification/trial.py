"""Two opened engines on the same frames, in turn. Tested in tests/certification/test_planted_faults.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from streamseg.certification.certificate import Speed
from streamseg.certification.comparison import Comparison, FrameComparison, compare_frame
from streamseg.certification.probes import PROBES
from streamseg.certification.thresholds import Thresholds
from streamseg.engine_contract import Engine
from streamseg.errors import EngineError
from streamseg.segmenter import Segmenter
from streamseg.structures import Frame, Instances

__all__ = ["Trial", "weak_score"]

KEPT_WORST = 3
PROBED_FRAMES = 20
WEAK = 1 / 3
"""Of the score: instances from there on prolong tracks (`TrackerConfig.for_score_threshold`)."""


def weak_score(score: float, *listed_from: float) -> float:
    """The least score of what is counted as weak: what the tracker uses and every engine lists."""
    return max(score * WEAK, *listed_from)


class Trial:
    """Compares what two engines find. Closes neither."""

    def __init__(
        self, reference: Engine, candidate: Engine, score: float, margin: float, thresholds: Thresholds
    ) -> None:
        """Instances of `score` need a partner that scores at most `margin` less."""
        self.score = score
        self.partner_score = score - margin
        self.weak_score = weak_score(score, *(e.info.score_threshold for e in (reference, candidate)))
        least = min(self.partner_score, self.weak_score)
        self.total = Comparison(reference.info.classes, thresholds)
        self.worst: list[tuple[Frame, FrameComparison]] = []
        """Those that differ most, the worst first; frames that do not differ are none of them."""
        self.frames = 0
        self.one_at_a_time = ""
        """Why the candidate was tried with single frames only; empty: with batches of two as well."""
        self._reference, self._candidate = _Side(reference, least), _Side(candidate, least)

    def run(self, frames: Iterable[Frame], expected: int, on_frame: Callable[[], None]) -> None:
        """Compare all `frames`, of which there are at most `expected`; `on_frame` is called after each.

        Every other pair of frames is judged by what the candidate found in both as one batch: an engine may
        be right alone and mix up rows. Speed is always that of single frames. In some 20 of the frames the
        reference also looks at altered pictures (`PROBES`).
        """
        stride = max(1, expected // PROBED_FRAMES)
        for number, pair in enumerate(_pairs(frames)):
            found = [self._in_turn(frame) for frame in pair]
            together = self._as_batch(pair) if number % 2 else None
            for k, frame in enumerate(pair):
                reference, candidate = found[k]
                compared = self._add(frame, reference, together[k] if together else candidate)
                if (self.frames - 1) % stride == 0:
                    self._probe(frame, compared, together[k] if together else candidate)
                on_frame()

    def speed(self) -> Speed:
        """Of the frames so far."""
        a, b = np.array(self._reference.ms), np.array(self._candidate.ms)
        return Speed(float(np.median(a)), float(np.median(b)), float(np.median(a / b)))

    def _in_turn(self, frame: Frame) -> tuple[Instances, Instances]:
        """What both find; who goes first changes, so that neither always runs on the other's warm caches."""
        if len(self._reference.ms) % 2:
            later = self._candidate.timed(frame)
            return self._reference.timed(frame), later
        return self._reference.timed(frame), self._candidate.timed(frame)

    def _as_batch(self, pair: list[Frame]) -> list[Instances] | None:
        if self.one_at_a_time:
            return None
        try:
            return self._candidate.found_in(pair)
        except EngineError as refusal:
            self.one_at_a_time = str(refusal)
            return None

    def _add(self, frame: Frame, reference: Instances, candidate: Instances) -> FrameComparison:
        compared = self._compared(reference, candidate)
        self.frames += 1
        self.total.add(compared)
        if compared.badness > 0:
            self.worst.append((frame, compared))
            self.worst.sort(key=lambda pair: -pair[1].badness)
            del self.worst[KEPT_WORST:]
        return compared

    def _probe(self, frame: Frame, here: FrameComparison, candidate: Instances) -> None:
        if not here.badness:
            return
        for probe in PROBES:
            (there,) = self._reference.found_in([probe.altered(frame)])
            self.total.add_probe(probe.name, here, self._compared(there, candidate))

    def _compared(self, reference: Instances, candidate: Instances) -> FrameComparison:
        return compare_frame(
            reference,
            candidate,
            self.score,
            partner_score=self.partner_score,
            weak_score=self.weak_score,
        )


class _Side:
    """One engine with its clock."""

    def __init__(self, engine: Engine, least_score: float) -> None:
        self.ms: list[float] = []
        self._segmenter = Segmenter(engine, score=least_score)

    def found_in(self, frames: list[Frame]) -> list[Instances]:
        return [found.instances for found in self._segmenter.segment(frames)]

    def timed(self, frame: Frame) -> Instances:
        if not self.ms:
            self.found_in([frame])  # buffers, threads and caches come with the first frame
        began = time.perf_counter()
        (instances,) = self.found_in([frame])
        self.ms.append((time.perf_counter() - began) * 1e3)
        return instances


def _pairs(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    pair: list[Frame] = []
    for frame in frames:
        pair.append(frame)
        if len(pair) == 2:
            yield pair
            pair = []
    if pair:
        yield pair
