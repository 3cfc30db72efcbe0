"""What is measured of one source between its engine and its sinks.

Tested in tests/streaming/test_follow.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from streamseg.metrics import Counter, LatencyQuantiles, Rate, RecentQuantiles
from streamseg.structures import STAGES, Result
from streamseg.tracking.tracker import Tracker

__all__ = ["RECENT_SECONDS", "SinkMeter", "SourceMeter", "ages_of", "timely"]

RECENT_SECONDS = 10.0
"""What the live line calls now: an age that grows must move it, also after an hour."""


class SourceMeter:
    """Written by the thread that renders the source."""

    def __init__(self) -> None:
        self.rate = Rate()
        self.instances = Counter()
        self.too_old = Counter()
        """Frames dropped for their age before the engine; written by its thread."""
        self.outrun = Counter()
        """Frames that went on as soon as they came, moved by their tracks; for the tracker's thread."""
        self.overtaken = Counter()
        """Frames that came from the engine's stage when a newer one, or they themselves, had gone on."""
        self.ages = {stage: LatencyQuantiles() for stage in STAGES}
        self.last_ns: int | None = None
        """`captured_ns` of the newest frame that came through the engine."""
        self.rejected: Mapping[str, int] = {}
        """Set, never changed."""

    def note_rejected(self, tracker: Tracker) -> None:
        """What its tracker could not use; for the tracker's thread."""
        counts = {"rejected_frames": tracker.rejected_frames, "rejected_boxes": tracker.rejected_boxes}
        self.rejected = counts

    def rendered(self, result: Result) -> None:
        """It goes on to the sinks."""
        if not result.coasted:
            self.last_ns = result.frame.captured_ns
        self.instances.add(len(result.instances))
        for stage, ages in self.ages.items():
            ages.add(result.age_ms(stage) / 1e3)


class SinkMeter:
    """One source in one sink; written by the sink's thread."""

    def __init__(self, max_age_s: float | None = None) -> None:
        """`max_age_s`: what is older is not written; None: everything is."""
        self.written = Counter()
        self.too_old = Counter()
        """Results that were not written."""
        self.ages = LatencyQuantiles()
        self.recent = RecentQuantiles(RECENT_SECONDS)
        self.bounded = max_age_s is not None
        self._max_age_ms = 1e3 * max_age_s if max_age_s is not None else math.inf
        self._said: tuple[float, float, float] | None = None
        self._said_s = -math.inf

    def admits(self, age_ms: float) -> bool:
        """Whether a result of this age may be written; one that may not is counted."""
        if age_ms <= self._max_age_ms:
            return True
        self.too_old.add()
        return False

    def add(self, age_ms: float) -> None:
        """A result of this age has been written."""
        self.written.add()
        self.ages.add(age_ms / 1e3)
        self.recent.add(age_ms / 1e3)

    def recent_age_ms(self, now_s: float) -> tuple[float, float, float] | None:
        """p50, p95 and p99 of the last seconds, worked out anew at most once a second; None before any."""
        if now_s - self._said_s >= 1 and self.written.value:
            of_late = self.recent.snapshot()
            self._said = of_late["p50_ms"], of_late["p95_ms"], of_late["p99_ms"]
            self._said_s = now_s
        return self._said


def timely(meters: Iterable[SinkMeter]) -> list[SinkMeter]:
    """Those of sinks for which an age is promised; all where none is. Sinks of events are late by design."""
    meters = list(meters)
    return [meter for meter in meters if meter.bounded] or meters


def ages_of(sources: Iterable[SourceMeter], sinks: Iterable[SinkMeter]) -> dict[str, LatencyQuantiles]:
    """Ages after each stage, over all of `sources`; after `sink`, each result counts once for each sink."""
    sources = list(sources)
    by_stage = {stage: [meter.ages[stage] for meter in sources] for stage in STAGES}
    by_stage["sink"] = [meter.ages for meter in sinks]
    return {stage: LatencyQuantiles.merged(parts) for stage, parts in by_stage.items()}
