"""What an engine finds in a video, found once and kept: a tracker is then measured without the engine.

Tested in tests/jobs/test_eval_tracks.py.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from streamseg.errors import Interrupted, SourceError
from streamseg.files import atomic_write, file_sha256, user_cache_dir, write_failure
from streamseg.jobs.run import build
from streamseg.progress import Watcher
from streamseg.sinks.jsonl_sink import SCHEMA_VERSION, JsonlSink
from streamseg.streaming.config import load_config
from streamseg.structures import Result
from streamseg.version import __version__

__all__ = ["kept_detections"]


class _Counted(JsonlSink):
    """Writes lines and tells how many."""

    def __init__(self, path: Path, watcher: Watcher) -> None:
        super().__init__(path)
        self._watcher = watcher

    def write(self, result: Result) -> None:
        super().write(result)
        self._watcher.progress("detecting", self.frames, None)


def kept_detections(
    engine: Path,
    video: Path,
    score: float,
    watcher: Watcher,
    *,
    runtime: str = "auto",
    precision: str = "auto",
    cache: Path | None = None,
) -> Path:
    """JSON Lines without ids of all that `engine` finds in `video` with at least `score`.

    The file lies in `cache`, the user's cache folder when left out, under a name made of what is in engine
    and video, not of their names; where it is there already, nothing is run. Raises SourceError, SinkError,
    EngineError, ConfigError, Interrupted.
    """
    if not video.is_file():
        raise SourceError(f"{video}: no such file; only of a video file can detections be kept")
    made_of = [file_sha256(engine), file_sha256(video), runtime, precision, score]
    key = hashlib.sha256(json.dumps([*made_of, SCHEMA_VERSION, __version__]).encode()).hexdigest()[:16]
    target = (cache or user_cache_dir()) / "detections" / f"{key}.jsonl"
    if target.is_file():
        return target
    config = load_config(
        None,
        {
            "sources": [str(video)],
            "score": score,
            "engine": {"path": str(engine), "runtime": runtime, "precision": precision},
            "track": {"enabled": False},
        },
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as part:
            if code := build(config, [_Counted(part, watcher)], watcher).run():
                raise Interrupted("eval-tracks: interrupted; what was found so far is not kept", code)
    except OSError as error:
        raise write_failure(target, error) from error
    return target
