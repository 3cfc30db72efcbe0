"""What a job is made of besides its pipeline. Tested in tests/streaming/test_job.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from streamseg.sinks.base import Sink
from streamseg.streaming.meter import SinkMeter, SourceMeter

__all__ = ["Companion", "Stream"]


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """What belongs to one source of a job."""

    spec: str
    sinks: tuple[Sink, ...]
    meter: SourceMeter
    sink_meters: Mapping[str, SinkMeter]
    """By the name of the sink's part in the pipeline."""
    added_ns: int
    """time.monotonic_ns() when it was added."""


class Companion(Protocol):
    """Something beside the pipeline that lives as long as the run: a server."""

    def start(self) -> None: ...

    def stop(self) -> None:
        """Also when it was never started."""
