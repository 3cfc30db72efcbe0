"""The configuration file of a run that goes on: seen when it is edited, written when the run is changed.

Tested in tests/serving/test_config_file.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamseg.errors import ConfigError
from streamseg.files import write_bytes, write_failure
from streamseg.settings import Keys, text_with_values
from streamseg.streaming.config import RunConfig, load_config

__all__ = ["ConfigFile"]

Mark = tuple[int, int, int, int] | None


class ConfigFile:
    """A YAML file and the flags over it, which win and are never written."""

    def __init__(self, path: str | None, flags: Mapping[str, Any]) -> None:
        """`path` None: there are only flags, and nothing is ever written."""
        self.path = path
        self._flags = flags
        self._mark = self._now()

    def load(self) -> RunConfig:
        """Raises ConfigError."""
        return load_config(self.path, self._flags)

    def edited(self) -> bool:
        """Whether the file is another than at the last question, or than the one written here."""
        before, self._mark = self._mark, self._now()
        return self._mark is not None and self._mark != before

    def _now(self) -> Mark:
        if self.path is None:
            return None
        try:
            status = os.stat(self.path)  # noqa: PTH116
        except OSError:
            return None  # an editor is putting another in its place
        return status.st_ino, status.st_mtime_ns, status.st_size, status.st_ctime_ns

    def write(self, values: Mapping[Keys, Any]) -> bool:
        """Put values into the file, leaving the rest as it is written.

        False where there is no file, or flags have the last word. The file is replaced whole or not at all.
        Raises ConfigError or SinkError.
        """
        mine = {keys: value for keys, value in values.items() if keys[0] not in self._flags}
        if self.path is None or not mine:
            return False
        path = Path(self.path)
        try:
            before = path.read_bytes()
            after = text_with_values(before.decode("utf-8"), mine).encode()
            if after != before:
                write_bytes(path, after)
        except OSError as error:
            raise write_failure(path, error) from error
        except ValueError as error:
            raise ConfigError(f"{self.path}: cannot be changed here ({error}); edit it by hand") from error
        self._mark = self._now()
        return True
