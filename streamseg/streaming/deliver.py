"""Results → one sink. Tested in tests/streaming/test_threads.py."""

from __future__ import annotations

import time
from collections.abc import Mapping

from streamseg.pipeline.parts import StopPipeline
from streamseg.sinks.base import EndsRuns, Sink
from streamseg.streaming.meter import SinkMeter
from streamseg.structures import Result

__all__ = ["DRAIN_SECONDS", "Deliver"]

DRAIN_SECONDS = 10.0
"""How long what was captured may take to reach the sinks once the end was asked for."""


class Deliver:
    """One sink in its thread, whatever the number of its sources. A sink may wish the run to stop."""

    def __init__(self, sink: Sink, meters: Mapping[str, SinkMeter]) -> None:
        """`meters` by the id of the source; sources may be added while it runs."""
        self._sink = sink
        self._meters = meters

    def process(self, items: list[Result]) -> None:
        for result in items:
            self._sink.write(result)
            age_ms = (time.monotonic_ns() - result.frame.captured_ns) / 1e6
            self._meters[result.frame.source_id].add(age_ms)
        if isinstance(self._sink, EndsRuns) and self._sink.stop_requested:
            raise StopPipeline(DRAIN_SECONDS)

    def close(self) -> None:
        self._sink.close()
