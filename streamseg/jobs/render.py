"""What `streamseg render` does: a record and its clip → an annotated video, without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamseg.addresses import printable, shown
from streamseg.capture.open import open_source
from streamseg.errors import ConfigError, Interrupted, SourceError
from streamseg.jobs.records import rules_from
from streamseg.overlay.effect_spec import refuse_unknown_classes
from streamseg.overlay.effects import check_value
from streamseg.records.header import Take, clip_fingerprint
from streamseg.records.store import RunRecord
from streamseg.sinks.base import close_all
from streamseg.sinks.collisions import planned_files, refuse_collisions
from streamseg.streaming.config import load_config
from streamseg.streaming.outputs import own_sinks
from streamseg.streaming.replay import Replay, run_replay

__all__ = ["Rendered", "render", "take_of_clip"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was made."""

    frames: int
    media_seconds: float


def render(
    path: Path,
    clip: str,
    out: Path,
    *,
    effects: Sequence[str] = (),
    trail_seconds: float | None = None,
    rules: Path | None = None,
) -> Rendered:
    """Draw what the record `path` knows of `clip` on it, and write `out`.

    `effects` and `trail_seconds` as of a run; `rules` is a configuration whose zones and lines are drawn.
    Raises ConfigError, also where the record is of another clip or was made with redaction; DatasetError,
    SourceError, SinkError, Interrupted.
    """
    overlay = {"effects": list(effects) or None, "trail_seconds": trail_seconds}
    config = load_config(
        None,
        {"output": {"video": str(out)}, "overlay": {k: v for k, v in overlay.items() if v is not None}},
    )
    refuse_collisions([str(path), clip], planned_files({"-o": out}))
    for spec in config.overlay.effect_specs:
        if spec.kind == "replace":
            check_value(spec)
    with RunRecord(path) as recording:
        take = take_of_clip(recording, clip)
        refuse_unknown_classes(config.overlay.effect_specs, take.header.classes)
        zones = rules_from(rules, recording) if rules else None
        sinks = own_sinks(config.output, take.source_id, 1, has_alpha=config.overlay.has_alpha)
        try:
            replay = Replay(recording, take, open_source(clip, take.source_id), zones)
        except BaseException:
            close_all(sinks)
            raise
        code = run_replay(replay, take.source_id, config.overlay, sinks)
    if code:
        raise Interrupted(f"interrupted: {printable(out)} has the first frames only", code)
    return Rendered(replay.frames, replay.media_seconds)


def take_of_clip(recording: RunRecord, clip: str) -> Take:
    """The newest take of `recording` that was made of the file `clip`.

    Raises ConfigError where there is none, or where pictures of it would show what was redacted; SourceError
    where the clip cannot be read.
    """
    name = printable(recording.path)
    try:
        fingerprint = clip_fingerprint(clip)
    except OSError as error:
        raise SourceError(f"{shown(clip)}: cannot be read ({error.strerror})") from error
    if not fingerprint:
        raise SourceError(f"{shown(clip)}: no such file; name the clip that {name} was made of")
    files = [take for take in recording.takes if take.fingerprint]
    if not files:
        raise ConfigError(f"{name}: is of cameras or folders, not of a file; there is no clip to draw on")
    takes = [take for take in files if take.fingerprint == fingerprint]
    if not takes:
        listing = ", ".join(sorted({printable(take.spec) for take in files}))
        raise ConfigError(
            f"{shown(clip)}: is not what {name} was made of (another size or content); that was: {listing}"
        )
    if takes[-1].header.redacted:
        hidden = ", ".join(takes[-1].header.redacted)
        raise ConfigError(
            f"{name}: was made with redaction of {hidden}, and the clip would show them; "
            "redact the clip itself: streamseg run --redact"
        )
    return takes[-1]
