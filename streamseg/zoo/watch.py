"""How the zoo tells what it does; the command line shows it, the library logs it."""

from __future__ import annotations

import logging
from typing import Protocol

__all__ = ["LogWatcher", "Watcher"]


class Watcher(Protocol):
    def say(self, text: str) -> None:
        """One line about what happens now."""

    def progress(self, done_bytes: int, total_bytes: int | None) -> None:
        """A download has so many bytes; `total_bytes` is None where the server does not say."""


class LogWatcher:
    """Lines to the log, at INFO; no progress."""

    def __init__(self) -> None:
        self._log = logging.getLogger("streamseg.zoo")

    def say(self, text: str) -> None:
        self._log.info(text)

    def progress(self, done_bytes: int, total_bytes: int | None) -> None: ...
