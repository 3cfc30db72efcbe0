"""What is measured of one source between its engine and its sinks.

Tested in tests/streaming/test_follow.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamseg.metrics import Counter, LatencyQuantiles, Rate, RecentQuantiles
from streamseg.structures import STAGES, Result

__all__ = ["RECENT_SECONDS", "SinkMeter", "SourceMeter", "ages_of"]

RECENT_SECONDS = 10.0
"""What the live line calls now: an age that grows must move it, also after an hour."""


class SourceMeter:
    """Written by the thread that renders the source."""

    def __init__(self) -> None:
        self.rate = Rate()
        self.instances = Counter()
        self.ages = {stage: LatencyQuantiles() for stage in STAGES}
        self.last_ns: int | None = None
        """`captured_ns` of the newest frame that came through."""
        self.rejected: Mapping[str, int] = {}
        """What its tracker could not use; set, never changed, by the thread that tracks."""

    def rendered(self, result: Result) -> None:
        """It goes on to the sinks."""
        self.last_ns = result.frame.captured_ns
        self.instances.add(len(result.instances))
        for stage, ages in self.ages.items():
            ages.add(result.age_ms(stage) / 1e3)


class SinkMeter:
    """One source in one sink; written by the sink's thread."""

    def __init__(self) -> None:
        self.written = Counter()
        self.ages = LatencyQuantiles()
        self.recent = RecentQuantiles(RECENT_SECONDS)

    def add(self, age_ms: float) -> None:
        """A result of this age has been written."""
        self.written.add()
        self.ages.add(age_ms / 1e3)
        self.recent.add(age_ms / 1e3)


def ages_of(sources: Iterable[SourceMeter], sinks: Iterable[SinkMeter]) -> dict[str, LatencyQuantiles]:
    """Ages after each stage, over all of `sources`; after `sink`, each result counts once for each sink."""
    sources = list(sources)
    by_stage = {stage: [meter.ages[stage] for meter in sources] for stage in STAGES}
    by_stage["sink"] = [meter.ages for meter in sinks]
    return {stage: LatencyQuantiles.merged(parts) for stage, parts in by_stage.items()}
