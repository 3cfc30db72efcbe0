"""Where OpenVINO keeps compiled models: one folder for each file, shape and precision, the least used go.

OpenVINO's own key is a hash of the graph in which constants may change places: of three engines that
differed in one factor (2, −1 and 1) the first one's model was given to all (2026.4). So none of them shares
a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from streamseg.files import user_cache_dir

__all__ = ["default_cache_dir", "model_folder"]

KEPT = 24
"""Folders: a model takes 15 MB (`compact`) to 300 MB, and a user has a handful of engines in one or two
shapes."""


def default_cache_dir() -> Path:
    """Where compiled models are kept: the user's cache folder."""
    return user_cache_dir() / "openvino"


def model_folder(cache_dir: Path, *made_of: str | int | None) -> Path | None:
    """The folder for a compiled model, created; `made_of` is all that makes another model, the SHA-256 of its
    file first. None where nothing may be written, which costs only time at the next start."""
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]
    folder = cache_dir / key
    try:
        if not folder.is_dir():
            _forget_oldest(cache_dir)
            folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _forget_oldest(cache_dir: Path) -> None:
    if not cache_dir.is_dir():
        return
    folders = sorted((path for path in cache_dir.iterdir() if path.is_dir()), key=_used, reverse=True)
    for folder in folders[KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)


def _used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # another process was faster
        return 0.0
