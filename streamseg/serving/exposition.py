"""What Prometheus reads. Tested in tests/serving/test_api.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamseg.serving.contract import RunStatus, SourceStatus

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _OneReading(Collector):
    def __init__(self, status: RunStatus, viewers: int) -> None:
        self._status = status
        self._viewers = viewers

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield _gauge("ready", "1 when the engine is open", [((), float(status.ready))])
        yield _gauge("ladder_rung", "0, 1 or 2: how much is asked of the engine", [((), status.rung)])
        yield _gauge("viewers", "open WebSocket and MJPEG viewers", [((), self._viewers)])
        yield from _counts(status.sources)
        yield from _states(status.sources)


def _counts(sources: Iterable[SourceStatus]) -> Iterator[Metric]:
    captured = CounterMetricFamily("streamseg_frames_captured", "frames captured", labels=["source"])
    delivered = CounterMetricFamily(
        "streamseg_frames_delivered", "frames that reached the slowest output", labels=["source"]
    )
    dropped = CounterMetricFamily(
        "streamseg_frames_dropped", "frames lost on the way, by cause", labels=["source", "cause"]
    )
    reconnects = CounterMetricFamily("streamseg_reconnects", "sources come back", labels=["source"])
    for one in sources:
        captured.add_metric([one.id], one.captured)
        delivered.add_metric([one.id], one.delivered)
        reconnects.add_metric([one.id], one.reconnects)
        for cause, count in one.dropped.items():
            dropped.add_metric([one.id, cause], count)
    yield from (captured, delivered, dropped, reconnects)


def _states(sources: tuple[SourceStatus, ...]) -> Iterator[Metric]:
    name = ("source",)
    yield _gauge("fps", "frames a second, recent", [((s.id,), s.fps) for s in sources], name)
    silent = [((s.id,), s.silent_seconds) for s in sources]
    yield _gauge("silent_seconds", "since the last frame", silent, name)
    states = [((s.id, s.state), 1.0) for s in sources]
    yield _gauge("source_state", "1 for the state a source is in", states, ("source", "state"))
    ages = [
        ((s.id, quantile), milliseconds / 1e3)
        for s in sources
        for quantile, milliseconds in (("0.5", s.age.p50_ms), ("0.95", s.age.p95_ms), ("0.99", s.age.p99_ms))
    ]
    yield _gauge("age_seconds", "from capture to output, last 10 s", ages, ("source", "quantile"))


def _gauge(
    name: str, text: str, values: Iterable[tuple[tuple[str, ...], float]], labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"streamseg_{name}", text, labels=labels)
    for of_labels, value in values:
        family.add_metric(of_labels, value)
    return family


def exposition(status: RunStatus, viewers: int) -> bytes:
    """One reading in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_OneReading(status, viewers))
    return generate_latest(registry)
