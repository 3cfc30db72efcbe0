"""What `streamseg query` does: rules on a record → the events that the run would have told."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streamseg.errors import ConfigError
from streamseg.events.config import EventsConfig
from streamseg.files import write_failure
from streamseg.jobs.records import rules_from
from streamseg.records.header import Take
from streamseg.records.store import RunRecord
from streamseg.sinks.collisions import planned_files, refuse_collisions
from streamseg.sinks.events_sink import Envelopes, as_json
from streamseg.sinks.line_file import LineFile
from streamseg.streaming.replay import recorded_results

__all__ = ["query"]


def query(path: Path, rules: Path, out: str = "-") -> int:
    """Write the events of `rules` in every take of the record `path` to `out`, by the time at which they were
    decided; how many. Ids, phases and data are those that `run --events` would have written.

    Raises ConfigError, DatasetError, SinkError.
    """
    refuse_collisions([str(path), str(rules)], planned_files({"--events": Path(out)}))
    with RunRecord(path) as recording:
        config = rules_from(rules, recording)
        refuse_redacted(recording)
        file = LineFile(out)
        try:
            file.write(b"")  # no events make an empty file
            told = (_events(recording, take, config) for take in recording.takes)
            for _, made in heapq.merge(*told, key=lambda timed: timed[0]):
                file.write(as_json(made).encode() + b"\n")
        except OSError as error:
            raise write_failure(Path(out), error) from error
        finally:
            file.close()
    return file.lines - 1


def refuse_redacted(recording: RunRecord) -> None:
    """Raise ConfigError where the record has no places of some classes: rules would be silent about them."""
    hidden = sorted({name for take in recording.takes for name in take.header.redacted})
    if hidden:
        listing = ", ".join(hidden)
        raise ConfigError(
            f"{recording.path}: was made with redaction and does not know where {listing} were; "
            "write events with the run itself: --events"
        )


def _events(recording: RunRecord, take: Take, config: EventsConfig) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each with the time of its decision, nanoseconds since 1970."""
    envelopes = Envelopes(wall_minus_monotonic_ns=0)
    now = 0
    for result in recorded_results(recording, take, config):
        now = result.frame.captured_ns
        yield from ((now, made) for made in envelopes.of(result))
    yield from ((now, made) for made in envelopes.rest())
