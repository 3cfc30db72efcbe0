"""What the verbs that read a record have in common. Tested in tests/jobs/test_query.py."""

from __future__ import annotations

from pathlib import Path

from streamseg.addresses import printable
from streamseg.errors import ConfigError
from streamseg.events.config import EventsConfig, check_classes, check_sources
from streamseg.records.store import RunRecord
from streamseg.streaming.config import load_config

__all__ = ["rules_from"]


def rules_from(path: Path, recording: RunRecord) -> EventsConfig:
    """The rules under `events` of a configuration, fit for every take of `recording`. Raises ConfigError."""
    rules = load_config(str(path)).events
    if rules is None:
        raise ConfigError(f"{printable(path)}: has no rules under `events`; streamseg zones draws them")
    check_sources(rules, sorted({take.source_id for take in recording.takes}))
    for take in recording.takes:
        check_classes(rules, take.header.classes)
    return rules
