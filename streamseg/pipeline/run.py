"""One run of a graph: its threads, its failures, and how it is brought to an end."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from streamseg.pipeline.channel import Channel
from streamseg.pipeline.worker import Outlet, SinkWorker, SourceWorker, Worker

__all__ = ["Failure", "Run", "State"]

State = Literal["new", "running", "stopping", "aborting", "ended"]

# A lock that waits without limit does not let Ctrl-C through on Windows.
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Failure:
    """What a part of the pipeline raised."""

    part: str
    """Kind and name: `source 'cam1'`."""
    phase: str
    """`opening`, `running`, `interrupting` or `closing`."""
    error: BaseException

    def __str__(self) -> str:
        return f"{self.part}, {self.phase}: {type(self.error).__name__}: {self.error}"


class Run:
    """Starts the threads of `workers` and hears from them (it is their Supervisor).

    One lock guards the state; nothing foreign (a factory, a source's `interrupt`) is called while it is held.
    """

    def __init__(self, grace_s: float) -> None:
        self.workers: list[Worker] = []
        self.channels: list[Channel[Any]] = []
        self.failures: list[Failure] = []
        self.started_s: float | None = None
        self.ended_s: float | None = None
        self._grace_s = grace_s
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._threads: dict[Worker, threading.Thread] = {}
        self._timers: list[threading.Thread] = []
        self._alive: list[Worker] = []
        self._opening = 0
        self._stopping = self._aborted = self._interrupted = False
        self._abort_s = math.inf
        self._give_up_s = math.inf

    @property
    def state(self) -> State:
        with self._changed:
            if self.started_s is None:
                return "new"
            if not self._alive:
                return "ended"
            return "aborting" if self._aborted else "stopping" if self._stopping else "running"

    # -- asked by the caller -------------------------------------------------------------------

    def start(self) -> None:
        """Start every thread; when one cannot be started, abort those that were and raise RuntimeError."""
        self.started_s = time.perf_counter()
        self._alive = list(self.workers)
        self._opening = sum(not isinstance(worker, SourceWorker) for worker in self.workers)
        threaded = [worker for worker in self.workers if not isinstance(worker, Outlet)]
        self._threads = {worker: self._thread(worker) for worker in threaded}
        for number, worker in enumerate(threaded):
            try:
                self._threads[worker].start()
            except RuntimeError:
                self.abort()
                for unstarted in threaded[number:]:
                    self.ended(unstarted)
                raise

    def _thread(self, worker: Worker) -> threading.Thread:
        # Daemons: a part that is stuck must not keep the process from exiting.
        return threading.Thread(target=worker.run, args=(self,), name=f"streamseg {worker}", daemon=True)

    def stop(self, deadline_s: float | None) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        # Closed on the sources' behalf: a source that does not heed its interrupt cannot hold up the drain.
        for source in self._sources():
            source.output.close()
        if deadline_s is not None:
            self._abort_within(deadline_s)
        self._interrupt()

    def _abort_within(self, deadline_s: float) -> None:
        """Abort after `deadline_s` unless all is over by then; of several deadlines the earliest counts."""
        abort_s = time.monotonic() + deadline_s
        with self._changed:
            if self._aborted or abort_s >= self._abort_s:
                return
            self._abort_s = abort_s

        def watch() -> None:
            if not self._over.wait(deadline_s):
                self.abort()

        timer = threading.Thread(target=watch, name="streamseg stop deadline", daemon=True)
        timer.start()
        self._timers.append(timer)

    def abort(self) -> None:
        with self._changed:
            self._aborted = True
            self._start_grace()
            self._changed.notify_all()
        for channel in self.channels:
            channel.abort()
        self._interrupt()

    def settle(self, until_s: float = math.inf) -> list[Worker]:
        """As `alive_at`, but at most until the grace is over."""
        return self._wait_for_end(lambda: min(until_s, self._give_up_s))

    def alive_at(self, until_s: float) -> list[Worker]:
        """Wait until `until_s` (time.monotonic), less when all have ended; gives the workers still alive."""
        return self._wait_for_end(lambda: until_s)

    def _wait_for_end(self, limit_s: Callable[[], float]) -> list[Worker]:
        if threading.current_thread() in self._threads.values():
            raise RuntimeError("a part of a pipeline cannot wait for the pipeline: it would wait for itself")
        with self._changed:
            while self._alive:
                left = limit_s() - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, _POLL_S))
            alive = list(self._alive)
        for worker, thread in self._threads.items():
            if worker not in alive and thread.ident is not None:
                thread.join()
        if not alive:
            for timer in self._timers:
                timer.join(_POLL_S)
        return alive

    @property
    def gave_up(self) -> bool:
        """The grace is over."""
        with self._changed:
            return time.monotonic() >= self._give_up_s

    # -- told by the workers -------------------------------------------------------------------

    def opened(self, worker: Worker) -> None:
        if not isinstance(worker, SourceWorker):
            with self._changed:
                self._opening -= 1
                self._changed.notify_all()

    def may_capture(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: not self._opening or self._stopping or self._aborted)
            return not (self._stopping or self._aborted)

    def failed(self, worker: Worker, error: BaseException) -> None:
        self._record(Failure(str(worker), worker.phase, error))
        if worker.phase == "closing":
            return
        if not isinstance(worker, SourceWorker):
            self.abort()
        elif worker.on_error == "stop":
            self.stop(None)

    def ended(self, worker: Worker) -> None:
        with self._changed:
            self._alive.remove(worker)
            if not any(isinstance(other, SinkWorker) for other in self._alive):
                self._start_grace()
            if not self._alive:
                self.ended_s = time.perf_counter()
                self._over.set()
            self._changed.notify_all()

    # -- inside --------------------------------------------------------------------------------

    def _sources(self) -> list[SourceWorker]:
        return [worker for worker in self.workers if isinstance(worker, SourceWorker)]

    def _start_grace(self) -> None:
        self._give_up_s = min(self._give_up_s, time.monotonic() + self._grace_s)

    def _interrupt(self) -> None:
        with self._changed:
            if self._interrupted:
                return
            self._interrupted = True
        for source in self._sources():
            try:
                source.interrupt()
            except Exception as error:
                self._record(Failure(str(source), "interrupting", error))

    def _record(self, failure: Failure) -> None:
        """Keep it; the first one carries the others as notes to the caller."""
        with self._changed:
            self.failures.append(failure)
            first = self.failures[0]
            if failure is first:
                first.error.add_note(f"raised in {failure.part}, {failure.phase}")
            else:
                first.error.add_note(f"then also in {failure}")
