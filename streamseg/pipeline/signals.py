"""SIGINT, SIGTERM and SIGHUP for a running pipeline: the first one drains, the second one aborts."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from streamseg.pipeline.pipeline import Pipeline

__all__ = ["CaughtSignals", "stop_on_signals"]


# Windows has no SIGHUP; elsewhere it says that the terminal was closed.
HANDLED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class CaughtSignals:
    """Which signals have arrived."""

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []

    @property
    def exit_code(self) -> int | None:
        """What the shell expects: 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + self.received[0] if self.received else None


@contextmanager
def stop_on_signals(
    pipeline: Pipeline,
    deadline_s: float,
    signals: tuple[signal.Signals, ...] = HANDLED,
) -> Iterator[CaughtSignals]:
    """Within the block the first signal stops `pipeline` (draining `deadline_s` at most), others abort it.

    A SIGHUP that is ignored (nohup) stays so. The former handlers come back at the end. In a thread other
    than the main one, where Python allows no handlers, the block runs without them.
    """
    caught = CaughtSignals()
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    # A handler interrupts the main thread anywhere, with any lock held: all it may do is SimpleQueue.put,
    # which is reentrant. A thread of its own acts on it.
    arrived: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.put(number)

    def act() -> None:
        while (number := arrived.get()) is not None:
            caught.received.append(signal.Signals(number))
            if len(caught.received) == 1:
                pipeline.stop(deadline_s)
            else:
                pipeline.abort()

    watcher = threading.Thread(target=act, name="streamseg signals", daemon=True)
    watcher.start()
    former = {number: signal.signal(number, note) for number in signals if not _ignored_hangup(number)}
    try:
        yield caught
    finally:
        for number, handler in former.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        arrived.put(None)
        watcher.join(1.0)


def _ignored_hangup(number: signal.Signals) -> bool:
    return number.name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN
