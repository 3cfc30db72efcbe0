"""What a run's record says of the run. Tested in tests/jobs/test_record.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from streamseg.engines.certified import certificate_of
from streamseg.engines.engine_file import EngineFile
from streamseg.overlay.palette import PALETTE
from streamseg.records.header import RunHeader
from streamseg.sinks.base import Sink
from streamseg.sinks.record_sink import RecordSink
from streamseg.streaming.job import Job
from streamseg.version import __version__

__all__ = ["describe_records"]


def describe_records(sinks: Iterable[Sink], job: Job, engine: EngineFile) -> None:
    """Tell every record among `sinks` which engine the run has, and what its sources are. Raises
    EngineError."""
    records = [sink for sink in sinks if isinstance(sink, RecordSink)]
    if not records:
        return
    certificate = certificate_of(engine)
    header = RunHeader(
        classes=job.info.classes,
        version=__version__,
        engine=f"{engine.path.name} ({job.info.model})",
        engine_sha256=engine.sha256,
        certificate=str(certificate["verdict"]) if certificate else "",
        certificate_sha256=_hash(certificate) if certificate else "",
        colours=tuple(f"#{red:02x}{green:02x}{blue:02x}" for blue, green, red in PALETTE),
        redacted=job.config.redact.classes if job.config.redact else (),
    )
    for record in records:
        record.describe(header, lambda source_id: _spec(job, source_id))


def _spec(job: Job, source_id: str) -> str:
    """Empty of one that was removed while its first frame was on the way."""
    return job.streams[source_id].spec if source_id in job.streams else ""


def _hash(section: object) -> str:
    return hashlib.sha256(json.dumps(section, sort_keys=True).encode()).hexdigest()
