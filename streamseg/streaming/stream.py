"""What a job is made of besides its pipeline. Tested in tests/streaming/test_job.py."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from streamseg.capture.source import SourceOptions
from streamseg.errors import ConfigError, did_you_mean
from streamseg.sinks.base import Sink
from streamseg.streaming.config import CameraConfig, RunConfig
from streamseg.streaming.contract import LatencyContract
from streamseg.streaming.meter import SinkMeter, SourceMeter

__all__ = ["Companion", "Stream", "check_names", "contract_of", "options_of"]


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


def options_of(asked: CameraConfig, *, waits: bool) -> SourceOptions:
    """How a source is opened. `waits`: whether one that is off is waited for, where that is left open."""
    return SourceOptions(
        open_timeout_s=asked.open_timeout_s,
        read_timeout_s=asked.read_timeout_s,
        stall_s=asked.stall_s,
        transport=asked.transport,
        self_signed=asked.self_signed,
        wait_for_source=waits if asked.wait_for_source is None else asked.wait_for_source,
        max_backoff_s=asked.max_backoff_s,
        size_hw=(asked.size[1], asked.size[0]) if asked.size else None,
        fps=asked.fps,
    )


def contract_of(config: RunConfig, stream_of: Callable[[str], Stream]) -> LatencyContract | None:
    """What a live run promises of its ages, if it does."""
    if config.max_age_s is None:
        return None

    def too_late(source_id: str) -> int:
        """Results that the sink which lost most did not get for their age."""
        return max(meter.too_old.value for meter in stream_of(source_id).sink_meters.values())

    return LatencyContract(
        config.max_age_s, lambda i: stream_of(i).meter, too_late, coasts=config.track.enabled
    )


def check_names(named: Collection[str], source_ids: Collection[str]) -> None:
    """Raise ConfigError where `named` has what no source is called."""
    for name in named:
        if name not in source_ids:
            hint = did_you_mean(name, source_ids) or f"there are {', '.join(source_ids)}"
            raise ConfigError(f"capture.per_source: no source is called {name!r}; {hint}")
