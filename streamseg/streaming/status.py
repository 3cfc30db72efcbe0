"""A job as the page, the API and the metrics see it. Tested in tests/serving/test_api.py."""

from __future__ import annotations

import time
from functools import cache

from streamseg.addresses import printable, shown
from streamseg.capture.open import is_live
from streamseg.events.config import RULE_KINDS, EventsConfig
from streamseg.serving.contract import AgeQuantiles, KeptInstances, RunStatus, SourceStatus
from streamseg.streaming.counts import Links, counts_of, recent_ages
from streamseg.streaming.job import Job
from streamseg.version import __version__

__all__ = ["status_of"]


def status_of(job: Job, notice: str | None = None) -> RunStatus:
    """From any thread."""
    links = cache(job.pipeline.channel_stats)
    now_ns = time.monotonic_ns()
    config = job.config
    return RunStatus(
        version=__version__,
        engine=job.info.model,
        runtime=job.runtime,
        seconds=round((now_ns - job.began_ns) / 1e9, 1),
        classes=job.info.classes,
        thresholds=KeptInstances(
            score=config.score, double_iou=config.double_iou, classes=config.classes or ()
        ),
        rung=job.rung,
        rules=_rules(config.events),
        sources=tuple(filter(None, (_source(job, i, links, now_ns) for i in job.streams))),
        notice=notice,
    )


def _rules(events: EventsConfig | None) -> dict[str, tuple[str, ...]]:
    by_kind = {kind: tuple(getattr(events, kind)) for kind in RULE_KINDS} if events else {}
    return {kind: names for kind, names in by_kind.items() if names}


def _source(job: Job, source_id: str, links: Links, now_ns: int) -> SourceStatus | None:
    """None for one that is leaving just now."""
    try:
        stream, state = job.streams[source_id], job.state_of(source_id)
        counts = counts_of(job, source_id, links)
        ages = recent_ages(job, source_id)
    except (KeyError, ValueError):
        return None
    source = job.sources.get(source_id)
    height, width = (source.size_hw if source else None) or (None, None)
    last_ns = stream.meter.last_ns or stream.added_ns
    return SourceStatus(
        id=source_id,
        spec=shown(stream.spec),
        live=is_live(stream.spec),
        state=state.state,
        state_seconds=round(state.seconds(now_ns), 1),
        reason=state.reason,
        detail=printable(state.detail),
        width=width,
        height=height,
        captured=counts["captured"],
        delivered=counts["delivered"],
        dropped={cause: counts[cause] for cause in ("overrun", "too_old")},
        fps=round(stream.meter.rate.recent_per_second(), 2),
        age=AgeQuantiles(**{key: round(ages[key], 1) for key in ("p50_ms", "p95_ms", "p99_ms")}),
        reconnects=state.reconnects,
        silent_seconds=round(max(0, now_ns - last_ns) / 1e9, 1),
    )
