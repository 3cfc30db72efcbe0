"""Where the frames of one source are; for report and page. Tested in tests/streaming/test_job.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from streamseg.metrics import RecentQuantiles
from streamseg.pipeline.channel import ChannelStats
from streamseg.streaming.job import Job
from streamseg.streaming.meter import timely

__all__ = ["Links", "counts_of", "recent_ages"]

Links = Callable[[str], Mapping[str, ChannelStats]]
"""Of a part, its channels; each is read once a refresh, however many sources share the part."""


def counts_of(job: Job, source_id: str, links: Links) -> dict[str, int]:
    """Frames captured; delivered, to the sink that got fewest; and lost on the way: `overrun` where the next
    part was slower, `too_old` where `max_age_s` forbade to deliver them, `unfinished` at the end."""
    mailbox = links("segment")[f"{source_id} → segment"]
    meters = job.streams[source_id].sink_meters
    # A sink that misses nothing reads before rendering.
    rendered = [name for name in meters if f"render {source_id} → {name}" in links(name)]
    part = min(rendered, key=lambda name: meters[name].written.value)
    delivered = meters[part].written.value
    behind = [*links(f"render {source_id}").values(), links(part)[f"render {source_id} → {part}"]]
    # What was replaced before the engine, or overtaken behind it, but had gone on by itself, is not lost.
    meter = job.streams[source_id].meter
    mailed = max(0, mailbox.overrun + meter.overtaken.value - meter.outrun.value)
    overrun = mailed + sum(stats.overrun for stats in behind)
    too_old = job.streams[source_id].meter.too_old.value + meters[part].too_old.value
    return {
        "captured": mailbox.offered,
        "delivered": delivered,
        "overrun": overrun,
        "too_old": too_old,
        "unfinished": mailbox.offered - overrun - too_old - delivered,
    }


def recent_ages(job: Job, source_id: str) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds, and how many, of the last seconds, over its `timely` outputs."""
    meters = timely(job.streams[source_id].sink_meters.values())
    return RecentQuantiles.merged(meter.recent for meter in meters).snapshot()
