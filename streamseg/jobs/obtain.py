"""Engines by name: files, bundled ones, and published weights that are fetched and exported on first use.

Tested in tests/zoo/test_names.py.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from streamseg.engines.locate import find_engine, list_engines
from streamseg.export.revision import export_revision
from streamseg.files import user_cache_dir
from streamseg.jobs.export import check_exportable, export_engine
from streamseg.progress import LogWatcher, Watcher
from streamseg.version import __version__
from streamseg.zoo.cache import locked, read_record, weights_path
from streamseg.zoo.published import PUBLISHED, PublishedWeights
from streamseg.zoo.pull import pull

__all__ = ["engine_path"]

MAX_DETECTIONS = 100
SCORE_THRESHOLD = 0.05


def engine_path(
    name_or_path: str | Path, cache_dir: str | Path | None = None, watcher: Watcher | None = None
) -> Path:
    """The file of a bundled engine's name, of a path, or of published weights.

    For published weights the engine lies in `cache_dir` (the user's cache folder when left out); where it
    does not yet, the weights are downloaded, verified and exported, which `watcher` is told. Raises
    EngineError for unknown names, and what `pull` and `export_engine` raise.
    """
    name = str(name_or_path)
    if name not in PUBLISHED or name in list_engines() or Path(name).exists():
        return find_engine(name_or_path, PUBLISHED)
    return _published_engine(PUBLISHED[name], Path(cache_dir or user_cache_dir()), watcher or LogWatcher())


def _published_engine(entry: PublishedWeights, cache_dir: Path, watcher: Watcher) -> Path:
    record = read_record(weights_path(entry, cache_dir))
    if record and (made := _path_in_cache(entry, record.sha256, cache_dir)).is_file():
        return made
    check_exportable(entry.name)  # before minutes of download
    weights = pull(entry, cache_dir, watcher=watcher)
    path = _path_in_cache(entry, weights.sha256, cache_dir)
    with locked(path, watcher):
        if not path.is_file():
            watcher.say(f"{entry.name}: exporting to {path}, once for these weights")
            export_engine(
                entry.name,
                str(path),
                weights=str(weights.path),
                max_detections=MAX_DETECTIONS,
                score_threshold=SCORE_THRESHOLD,
            )
    return path


def _path_in_cache(entry: PublishedWeights, sha256: str, cache_dir: Path) -> Path:
    """Another file for other weights, another exporter, other options."""
    made_of = [sha256, __version__, export_revision(), MAX_DETECTIONS, SCORE_THRESHOLD]
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:12]
    return cache_dir / "engines" / f"{entry.name}-{key}.onnx"
