"""Work beside a pipeline that is no part of it: a server, whoever watches a file."""

from __future__ import annotations

import threading
from collections.abc import Callable

from streamseg.pipeline.pipeline import StuckStage

__all__ = ["SideThread"]


class SideThread:
    """One function in a thread of its own, until it returns; it has no say in what the pipeline does."""

    def __init__(self, name: str, body: Callable[[], None], interrupt: Callable[[], None]) -> None:
        """`interrupt` makes `body` return soon; called from other threads, must not block."""
        self._interrupt = interrupt
        self._body = body
        self._error: BaseException | None = None
        # A daemon, as the pipeline's: what is stuck must not keep the process from exiting.
        self._thread = threading.Thread(target=self._run, name=f"streamseg {name}", daemon=True)

    def start(self) -> None:
        """Start it, once."""
        self._thread.start()

    def stop(self, deadline_s: float = 10.0) -> None:
        """Interrupt it and wait for its end. Raises what it raised; StuckStage when it takes longer.

        Idempotent; nothing happens when it was never started.
        """
        if self._thread.ident is None:
            return
        self._interrupt()
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            raise StuckStage(f"stuck {deadline_s:g} s after the end: {self._thread.name}")
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            self._body()
        except BaseException as error:
            self._error = error
