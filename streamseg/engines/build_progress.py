"""What a build tells of itself while it runs, and how Ctrl-C reaches it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["BuildWatcher", "interruptible", "progress_monitor"]


class BuildWatcher(Protocol):
    def say(self, text: str) -> None:
        """One line about what happens now."""

    def phase(self, name: str, done: int, total: int) -> None:
        """The innermost part of the build under way; it has `done` of `total` steps behind it."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Keep SIGINT for the end of the block, so that the builder can be asked to stop instead of being torn.

    An exception raised in one of its callbacks would go through its C++ frames, which ends the process.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows: Ctrl-C acts once the build is over
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupted() -> bool:
    return hasattr(signal, "sigpending") and signal.SIGINT in signal.sigpending()


def progress_monitor(trt: Any, watcher: BuildWatcher) -> Any:
    """An IProgressMonitor that tells `watcher` and cancels the build after SIGINT."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            watcher.phase(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            watcher.phase(phase_name, step + 1, self._steps.get(phase_name, step + 1))
            return not _interrupted()

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
