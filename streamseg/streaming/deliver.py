"""Results → one sink. Tested in tests/streaming/test_threads.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from streamseg.pipeline.parts import StopPipeline
from streamseg.sinks.base import EndsRuns, Sink
from streamseg.streaming.meter import SinkMeter
from streamseg.structures import Result

__all__ = ["DRAIN_SECONDS", "Deliver"]

DRAIN_SECONDS = 10.0
"""How long what was captured may take to reach the sinks once the end was asked for."""


class Deliver:
    """One sink in its thread, whatever the number of its sources. A sink may wish the run to stop."""

    def __init__(
        self, sink: Sink, meters: Mapping[str, SinkMeter], now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """`meters` by the id of the source; sources may be added while it runs."""
        self._sink = sink
        self._meters = meters
        self._now_ns = now_ns

    def process(self, items: list[Result]) -> None:
        for result in items:
            meter = self._meters[result.frame.source_id]
            if not meter.admits(self._age_ms(result)):
                continue
            self._sink.write(replace(result, recent_age_ms=meter.recent_age_ms(self._now_ns() / 1e9)))
            meter.add(self._age_ms(result))
        if isinstance(self._sink, EndsRuns) and self._sink.stop_requested:
            raise StopPipeline(DRAIN_SECONDS)

    def _age_ms(self, result: Result) -> float:
        return (self._now_ns() - result.frame.captured_ns) / 1e6

    def close(self) -> None:
        self._sink.close()
