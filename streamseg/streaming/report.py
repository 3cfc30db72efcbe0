"""What a run says of itself: the headline, the live line and the summary."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from streamseg.engines.cards import bundled_card
from streamseg.errors import SinkError
from streamseg.streaming.job import Job
from streamseg.streaming.outputs import output_paths
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
            f"bundled, mask AP {card['mask_ap']:.1f} on {card['images']} images it never saw; "
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
    channel = job.pipeline.snapshot()["channels"][source_id]
    delivered = job.render.delivered[source_id].value
    captured, overrun = channel["offered"], channel["overrun"]
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
        "outputs": output_paths(job.config.output, list(job.specs)),
    }


def _source_summary(job: Job, source_id: str) -> dict[str, Any]:
    counts = _counts(job, source_id)
    source = job.sources.get(source_id)
    return {
        "spec": without_credentials(job.specs[source_id]),
        "captured": counts.pop("captured"),
        "delivered": counts.pop("delivered"),
        "dropped": counts,
        "fps": round(job.render.rates[source_id].per_second, 3),
        "reconnects": source.reconnects if source else 0,
        "repaired_pts": source.repaired_pts if source else 0,
    }


def without_credentials(spec: str) -> str:
    """An address without `user:password@`."""
    return re.sub(r"://[^@/]*@", "://", spec)


def write_summary(job: Job, path: str) -> None:
    """Write the summary as JSON. Raises SinkError."""
    try:
        Path(path).write_text(json.dumps(summary(job), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: cannot write the summary: {error.strerror}") from error
