"""Where downloaded weights and the engines made of them are kept, and what is known of each file.

Tested in tests/zoo/test_pull_cache.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from streamseg.errors import CheckpointError, MissingDependency
from streamseg.files import user_cache_dir, write_json
from streamseg.progress import Watcher
from streamseg.zoo.published import PublishedWeights

__all__ = ["Record", "locked", "make_folder", "read_record", "weights_path", "write_record"]


@dataclass(frozen=True, slots=True)
class Record:
    """What was found when a weights file first came; kept beside it and longer than it."""

    source: str
    """Its address, or `by hand` for a file that the user put there."""
    sha256: str
    size_bytes: int
    licence_accepted: bool = False
    """The user said that the licence's restriction is met."""


def weights_path(entry: PublishedWeights, cache_dir: str | Path | None = None) -> Path:
    """Where the file lies once it is pulled, or where to put it by hand."""
    # File names of one publisher are unique, but two may use the same one.
    return Path(cache_dir or user_cache_dir()) / "weights" / entry.layout / entry.file_name


def _record_path(weights: Path) -> Path:
    return weights.with_name(weights.name + ".json")


def read_record(weights: Path) -> Record | None:
    """What is known of `weights`; None when it never came. Raises CheckpointError for a damaged record."""
    path = _record_path(weights)
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: the record of the download is damaged; delete it to have the file checked anew"
        ) from error


def write_record(weights: Path, record: Record) -> None:
    """Write atomically: a reader, or a kill, never sees half of it. Raises CheckpointError."""
    path = _record_path(weights)
    try:
        write_json(path, asdict(record))
    except OSError as error:
        raise unwritable(path.parent, error) from error


def make_folder(folder: Path) -> None:
    """Raises CheckpointError where it cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    if not os.access(folder, os.W_OK):
        raise CheckpointError(f"{folder}: the cache cannot be written; choose another with --cache FOLDER")


def unwritable(folder: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"{folder}: the cache cannot be written ({error.strerror}); choose another with --cache FOLDER"
    )


@contextmanager
def locked(target: Path, watcher: Watcher) -> Iterator[None]:
    """Alone among processes in making `target`; waits for the one that is at it.

    The lock is the operating system's: it ends with its process, however that ends. Raises CheckpointError
    where the folder cannot be written.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise MissingDependency.of("filelock", "models", "fetching published weights") from error
    make_folder(target.parent)
    lock = FileLock(target.with_name(target.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        watcher.say(f"{target.name}: another process is making it; waiting")
        lock.acquire()
    except OSError as error:
        raise unwritable(target.parent, error) from error
    try:
        yield
    finally:
        lock.release()
