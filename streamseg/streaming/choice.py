"""Which instances a run keeps, from its configuration; may change while it runs.

Tested in tests/streaming/test_job.py.
"""

from __future__ import annotations

from dataclasses import replace

from streamseg.engine_contract import EngineInfo
from streamseg.errors import ConfigError, did_you_mean
from streamseg.streaming.config import RunConfig
from streamseg.streaming.segment import Choice
from streamseg.tracking.config import TrackerConfig

__all__ = ["choice_of", "class_ids", "tracker_config"]


def choice_of(config: RunConfig, info: EngineInfo) -> Choice:
    """What the engine's stage keeps: also what only prolongs a track. Raises ConfigError."""
    tracker = tracker_config(config)
    least = tracker.low_score if tracker else config.score
    return Choice(least, class_ids(config.classes, info.classes), config.double_iou)


def tracker_config(config: RunConfig) -> TrackerConfig | None:
    """None: nothing is followed."""
    if not config.track.enabled:
        return None
    tracker = TrackerConfig.for_score_threshold(config.score)
    lost_seconds = config.track.lost_seconds
    return replace(tracker, lost_seconds=lost_seconds) if lost_seconds else tracker


def class_ids(names: tuple[str, ...] | None, known: tuple[str, ...]) -> frozenset[int] | None:
    """The ids of the classes called `names` among `known`; None for all. Raises ConfigError."""
    if names is None:
        return None
    for name in names:
        if name not in known:
            listing = ", ".join(known) if len(known) <= 20 else f"{len(known)} classes, see streamseg engines"
            hint = did_you_mean(name, known)
            aside = f" ({hint})" if hint else ""
            raise ConfigError(f"classes: the engine has no class {name!r}{aside}; it has {listing}")
    return frozenset(known.index(name) for name in names)
