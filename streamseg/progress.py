"""How a long piece of work tells what it does: the command line shows it, the library logs it."""

from __future__ import annotations

import logging
from typing import Protocol

__all__ = ["LogWatcher", "Watcher"]


class Watcher(Protocol):
    """Told of downloads, exports, builds, checks and training."""

    def say(self, text: str) -> None:
        """One line about what happens now."""

    def progress(self, what: str, done: float, total: float | None) -> None:
        """Of `what` so much is done, in bytes, frames, steps or as a share; `total` is None where unknown."""


class LogWatcher:
    """Lines to the log, at INFO; no progress."""

    def __init__(self) -> None:
        self._log = logging.getLogger("streamseg")

    def say(self, text: str) -> None:
        self._log.info("%s", text)

    def progress(self, what: str, done: float, total: float | None) -> None: ...
