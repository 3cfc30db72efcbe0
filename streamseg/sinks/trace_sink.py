"""Frames as OpenTelemetry traces: what each stage took, for one frame in so many."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streamseg.errors import ConfigError, MissingDependency
from streamseg.structures import STAGES, Result

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["TraceSink"]

_EXPORT_SECONDS = 3


class TraceSink:
    """Sends a trace of every `1 / share`-th frame of each source to an OpenTelemetry collector.

    A span `frame`, from its capture until it comes here, with a span of each stage inside it, waiting
    included. They are made of the stamps that a result bears anyway, and sent by a thread of the SDK from a
    bounded queue: a collector that is away costs traces and nothing else.
    """

    needs_canvas = False

    def __init__(self, endpoint: str, share: float) -> None:
        """`endpoint`: `http://collector:4318`. Raises ConfigError and MissingDependency."""
        if urlsplit(endpoint).scheme not in ("http", "https"):
            raise ConfigError(f"output.traces: expected http://HOST:4318, got {endpoint!r}")
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise MissingDependency.of(error.name or "opentelemetry", "traces", "output.traces") from error
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
        named = Resource({"service.name": "streamseg"})
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("streamseg")
        self._every = max(1, round(1 / share))
        self._seen: dict[str, int] = {}
        self.frames = 0
        """Frames of which a trace was made."""

    def write(self, result: Result) -> None:
        """Make its trace, if it is its turn."""
        source_id = result.frame.source_id
        seen = self._seen[source_id] = self._seen.get(source_id, -1) + 1
        if seen % self._every == 0:
            self._trace(result)
            self.frames += 1

    def _trace(self, result: Result) -> None:
        from opentelemetry.trace import set_span_in_context

        frame, now = result.frame, time.monotonic_ns()
        to_wall = time.time_ns() - now
        attributes: dict[str, str | int | bool] = {
            "streamseg.source": frame.source_id,
            "streamseg.frame": frame.index,
            "streamseg.instances": len(result.instances),
            "streamseg.coasted": result.coasted,
        }
        whole: Span = self._tracer.start_span(
            "frame", start_time=frame.captured_ns + to_wall, attributes=attributes
        )
        inside, began = set_span_in_context(whole), frame.captured_ns
        for stage in (*STAGES, "sink"):
            ended = now if stage == "sink" else getattr(result.stamps, stage)
            if ended is None:
                continue
            part = self._tracer.start_span(stage, inside, start_time=began + to_wall)
            part.end(ended + to_wall)
            began = ended
        whole.end(now + to_wall)

    def counters(self) -> dict[str, int]:
        return {"traces": self.frames}

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._provider.shutdown()
