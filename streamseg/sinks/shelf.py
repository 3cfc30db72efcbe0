"""Recorded files of one folder, the oldest removed when they are too old or too many.

Tested in tests/sinks/test_recorder.py.
"""

from __future__ import annotations

import re
import time
from bisect import insort
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from streamseg.files import write_failure

__all__ = ["Shelf", "folder_name", "utc_name"]

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_STAMP = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z"
_OURS = re.compile(rf"({_STAMP})(_[A-Za-z0-9._-]+)?\.mp4")
"""The time at which it begins, and for a clip what it is of."""
_DAY_SECONDS = 86_400
_GB = 1_000_000_000


def utc_name(utc_ns: int) -> str:
    """`2026-11-21T22-40-15.250Z`: a time that sorts as text and that every file system takes as a name."""
    told = datetime.fromtimestamp(utc_ns / 1e9, UTC)
    return f"{told:%Y-%m-%dT%H-%M-%S}.{utc_ns // 1_000_000 % 1000:03d}Z"


def folder_name(source_id: str) -> str:
    """For the files of one source."""
    return _NOT_IN_NAMES.sub("_", source_id).strip("_.") or "source"


class Shelf:
    """`folder/SOURCE/TIME[_NAME].mp4`, of all sources together; other files are never touched.

    Looks at the folder once, when it is made: another run that writes into the same folder is not seen. Used
    by one thread.
    """

    def __init__(self, folder: Path, keep_days: float | None, keep_gb: float | None) -> None:
        """None: no limit. Raises SinkError if the folder cannot be made or read."""
        self.folder = folder
        self.removed = 0
        self._keep_days = keep_days
        self._keep_bytes = None if keep_gb is None else keep_gb * _GB
        self._files: list[tuple[str, Path, int]] = []
        self._bytes = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.glob("*/*.mp4"):
                self.put(path)
        except OSError as error:
            raise write_failure(folder, error) from error

    def path(self, source_id: str, utc_ns: int, name: str = "") -> Path:
        """Where a file that begins then belongs. Raises SinkError."""
        place = self.folder / folder_name(source_id)
        try:
            place.mkdir(exist_ok=True)
        except OSError as error:
            raise write_failure(place, error) from error
        tail = f"_{folder_name(name)}" if name else ""
        return place / f"{utc_name(utc_ns)}{tail}.mp4"

    def put(self, path: Path) -> None:
        """Count a file that is complete."""
        if _OURS.fullmatch(path.name):
            with suppress(FileNotFoundError):
                size = path.stat().st_size
                insort(self._files, (path.name, path, size))
                self._bytes += size

    def trim(self) -> None:
        """Remove what is too old, and of the rest the oldest until all fit. Files in work are not counted."""
        oldest = "" if self._keep_days is None else self._name_of_days_ago(self._keep_days)
        most = float("inf") if self._keep_bytes is None else self._keep_bytes
        gone = 0
        for name, path, size in self._files:
            if name >= oldest and self._bytes <= most:
                break
            # Somebody else's removal is as good; what cannot be removed is not tried again and again.
            with suppress(OSError):
                path.unlink()
            self._bytes -= size
            gone += 1
        del self._files[:gone]
        self.removed += gone

    @staticmethod
    def _name_of_days_ago(days: float) -> str:
        return utc_name(max(0, time.time_ns() - round(days * _DAY_SECONDS * 1e9)))
