"""What a run says of itself: the headline, the live line and the summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamseg.addresses import shown
from streamseg.engines.cards import bundled_card
from streamseg.files import write_failure, write_json
from streamseg.streaming.job import Job
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
    return "\n".join(lines)


def status_line(job: Job) -> str:
    """One line for each source: frames, rate, age, drops, and what is wrong if something is."""
    return "\n".join(_source_line(job, source_id) for source_id in job.specs)


def _source_line(job: Job, source_id: str) -> str:
    failed = next((f for f in job.pipeline.failures if f.part == f"source {source_id!r}"), None)
    if failed:
        return f"{source_id}: stopped: {failed.error}"
    counts = _counts(job, source_id)
    source = job.sources.get(source_id)
    fps = job.render.rates[source_id].recent_per_second()
    age_ms = job.render.ages["sink"].quantile(0.5) * 1e3
    line = (
        f"{source_id}: {counts['delivered']} frames, {fps:.1f} fps, age {age_ms:.0f} ms, "
        f"{counts['overrun']} dropped, {job.runtime}"
    )
    if source and source.last_error:
        line += f" | disconnected: {source.last_error}"
    return line


def _counts(job: Job, source_id: str) -> dict[str, int]:
    """Frames captured, delivered, and lost on the way: `overrun` at the mailbox, `unfinished` at the end."""
    channel = job.pipeline.channel_stats("segment")[f"{source_id} → segment"]
    delivered = job.render.delivered[source_id].value
    captured, overrun = channel.offered, channel.overrun
    return {
        "captured": captured,
        "delivered": delivered,
        "overrun": overrun,
        "unfinished": captured - overrun - delivered,
    }


def summary(job: Job) -> dict[str, Any]:
    """Plain numbers of the whole run, ready for JSON. Times in milliseconds unless named otherwise."""
    return {
        "streamseg": __version__,
        "engine": {"path": job.config.engine.path, "model": job.info.model, "runtime": job.runtime},
        "seconds": round(job.seconds, 3),
        "instances": job.render.instances.value,
        "sources": {source_id: _source_summary(job, source_id) for source_id in job.specs},
        "age_ms": {stage: ages.snapshot() for stage, ages in job.render.ages.items()},
        "pipeline": job.pipeline.snapshot(),
        "outputs": written_paths(sink for of_source in job.sinks.values() for sink in of_source),
    }


def _source_summary(job: Job, source_id: str) -> dict[str, Any]:
    counts = _counts(job, source_id)
    source = job.sources.get(source_id)
    return {
        "spec": shown(job.specs[source_id]),
        "captured": counts.pop("captured"),
        "delivered": counts.pop("delivered"),
        "dropped": counts,
        "fps": round(job.render.rates[source_id].per_second, 3),
        "reconnects": source.reconnects if source else 0,
        "repaired_pts": source.repaired_pts if source else 0,
    }


def write_summary(job: Job, path: str) -> None:
    """Write the summary as JSON; `-` is standard output. Raises SinkError."""
    try:
        if path == "-":
            print(json.dumps(summary(job), indent=2), flush=True)
        else:
            write_json(Path(path), summary(job))
    except OSError as error:
        raise write_failure(Path("standard output" if path == "-" else path), error) from error
