"""What a build tells of itself while it runs, and how Ctrl-C reaches it.

Tested in tests/compile/test_build.py.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from streamseg.progress import Watcher

__all__ = ["interruptible", "progress_monitor"]


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGINT came in the block; the signal takes effect when the block is over.

    The builder can so be asked to stop. An exception raised in one of its callbacks would go through its C++
    frames, which ends the process. Off the main thread, where Python takes no signals, nothing is changed.
    """
    interrupts: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    except ValueError:  # not the main thread
        yield lambda: False
        return
    # The handler waits for the main thread, which is in C++; the descriptor is written at once.
    reading, writing = socket.socketpair()
    with reading, writing:
        reading.setblocking(False)
        writing.setblocking(False)
        woken = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield lambda: bool(interrupts) or _received(reading)
        finally:
            signal.set_wakeup_fd(woken)
            signal.signal(signal.SIGINT, before)
    if interrupts:
        signal.raise_signal(signal.SIGINT)


def _received(reading: socket.socket) -> bool:
    """Whether the number of SIGINT is among those waiting to be read; it is left there."""
    try:
        return signal.SIGINT in reading.recv(64, socket.MSG_PEEK)
    except BlockingIOError:
        return False


def progress_monitor(trt: Any, watcher: Watcher, interrupted: Callable[[], bool]) -> Any:
    """An IProgressMonitor that tells `watcher`, and cancels the build once it is `interrupted`."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            watcher.progress(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            watcher.progress(phase_name, step + 1, self._steps.get(phase_name, step + 1))
            return not interrupted()

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
