"""What a run says of itself: the headline, the live line and the summary.

Tested in tests/streaming/test_job.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from streamseg.addresses import printable, shown
from streamseg.engines.cards import bundled_card
from streamseg.files import write_failure, write_json
from streamseg.metrics import LatencyQuantiles
from streamseg.sinks.base import counters_of
from streamseg.streaming.counts import Links, counts_of, recent_ages
from streamseg.streaming.job import Job
from streamseg.streaming.meter import ages_of, timely
from streamseg.streaming.outputs import written_paths
from streamseg.version import __version__

__all__ = ["headline", "status_line", "summary", "write_summary"]


def headline(job: Job) -> str:
    """Which engine runs what; for the bundled engine also how good it is and how to get a better one."""
    kept = job.config.classes or job.info.classes
    names = ", ".join(kept[:12]) + (f" … ({len(kept)} classes)" if len(kept) > 12 else "")
    lines = [f"engine {job.config.engine.path} ({job.info.model}), finds {names}"]
    card = bundled_card(job.config.engine.path)
    if card:
        lines.append(
            f"bundled, mask AP {100 * card['mask_ap']:.1f} on {card['images']} images it never saw; "
            "for a stronger engine: streamseg export, then --engine FILE.onnx"
        )
    if job.address:
        lines.append(f"live page {job.address}")
    return "\n".join(lines)


def status_line(job: Job) -> str:
    """One line for each source: frames, rate, age, drops, and what is wrong if something is."""
    links = cache(job.pipeline.channel_stats)
    failures = {failure.part: failure.error for failure in job.pipeline.failures}
    return "\n".join(_source_line(job, source_id, links, failures) for source_id in job.streams)


def _source_line(job: Job, source_id: str, links: Links, failures: Mapping[str, BaseException]) -> str:
    name = printable(source_id)
    if failed := failures.get(f"source {source_id!r}"):
        return f"{name}: stopped: {failed}"
    stream = job.streams[source_id]
    counts = counts_of(job, source_id, links)
    recent = recent_ages(job, source_id)
    line = (
        f"{name}: {counts['delivered']} frames, {stream.meter.rate.recent_per_second():.1f} fps, "
        f"age {recent['p50_ms']:.0f} ms (p95 {recent['p95_ms']:.0f}, p99 {recent['p99_ms']:.0f}), "
        f"{counts['overrun'] + counts['too_old']} dropped, "
        f"{job.runtime}"
    )
    broken = [part for part in stream.sink_meters if f"sink {part!r}" in failures]
    if broken:
        line += f" | stopped: {', '.join(broken)}"
    source = job.sources.get(source_id)
    if source and (damaged := source.counters().get("damaged")):
        line += f" | {damaged} damaged"
    if job.recording and (trouble := job.recording.trouble(source_id)):
        line += f" | not recorded: {trouble}"
    state = job.state_of(source_id)
    if state.detail:
        line += f" | {state.state} {state.seconds():.0f} s: {state.detail}"
    return line


def summary(job: Job) -> dict[str, Any]:
    """Plain numbers of the whole run, ready for JSON. Times in milliseconds unless named otherwise."""
    links = cache(job.pipeline.channel_stats)
    streams = job.streams.values()
    ages = ages_of(
        (stream.meter for stream in streams),
        (meter for stream in streams for meter in timely(stream.sink_meters.values())),
    )
    return {
        "streamseg": __version__,
        "engine": {
            "path": job.config.engine.path,
            "model": job.info.model,
            "runtime": job.runtime,
            "refused": {cause: count for cause, count in job.refused.items() if count},
        },
        "seconds": round(job.seconds, 3),
        "instances": sum(stream.meter.instances.value for stream in streams),
        "sources": {source_id: _source_summary(job, source_id, links) for source_id in job.streams},
        "age_ms": {stage: quantiles.snapshot() for stage, quantiles in ages.items()},
        "pipeline": job.pipeline.snapshot(),
        "outputs": [*job.finished, *written_paths(job.sinks)],
    }


def _source_summary(job: Job, source_id: str, links: Links) -> dict[str, Any]:
    counts = counts_of(job, source_id, links)
    stream = job.streams[source_id]
    return {
        "spec": shown(stream.spec),
        "captured": counts.pop("captured"),
        "delivered": counts.pop("delivered"),
        "dropped": counts,
        "fps": round(stream.meter.rate.per_second, 3),
        "age_ms": LatencyQuantiles.merged(m.ages for m in timely(stream.sink_meters.values())).snapshot(),
        "recent_age_ms": recent_ages(job, source_id),
        "sinks": {name: meter.written.value for name, meter in stream.sink_meters.items()},
        "reconnects": 0,
        "repaired_pts": 0,
        **_counters(job, source_id),
    }


def _counters(job: Job, source_id: str) -> dict[str, int]:
    """What the source, its tracker and its sinks counted besides frames."""
    source, stream = job.sources.get(source_id), job.streams[source_id]
    counted = Counter(source.counters() if source else {})
    counted.update(stream.meter.rejected)
    if job.recording:
        counted.update(job.recording.counters(source_id))
    for sink in stream.sinks:
        counted.update(counters_of(sink))
    return dict(counted)


def write_summary(job: Job, path: str) -> None:
    """Write the summary as JSON; `-` is standard output. Raises SinkError."""
    try:
        if path == "-":
            print(json.dumps(summary(job), indent=2), flush=True)
        else:
            write_json(Path(path), summary(job))
    except OSError as error:
        raise write_failure(Path("standard output" if path == "-" else path), error) from error
