"""The threads of a pipeline, its failures, and how it and each of its parts are brought to an end.
Tested in tests/pipeline/test_endings.py.

Tested in test_endings.py, test_failures.py and, while it runs, in test_changes.py.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from streamseg.pipeline.consumer import Consumer, Outlet, SinkWorker
from streamseg.pipeline.failures import Failure, FailureLog
from streamseg.pipeline.graph import Graph
from streamseg.pipeline.output import Tap
from streamseg.pipeline.worker import SourceWorker, Worker

__all__ = ["State", "Supervision"]

State = Literal["new", "running", "stopping", "aborting", "ended"]

# A lock that waits without limit does not let Ctrl-C through on Windows.
_POLL_S = 0.2


class Supervision:
    """Starts the threads of a graph's parts and hears from them (it is their Supervisor).

    One lock guards the state and the graph; nothing foreign (a factory, a source's `interrupt`) is called
    while it is held.
    """

    def __init__(self, grace_s: float) -> None:
        self.graph = Graph()
        self.changed = threading.Condition()
        self.started_s: float | None = None
        self.ended_s: float | None = None
        self.failures = FailureLog()
        self._grace_s = grace_s
        self._over = threading.Event()
        self._threads: dict[Worker, threading.Thread] = {}
        self._leaving: list[threading.Thread] = []
        """Of parts that have been removed."""
        self._timers: list[threading.Thread] = []
        self._alive: set[Worker] = set()
        self._opening: set[Worker] = set()
        self._stopping = self._aborted = self._closed = False
        self._abort_s = math.inf
        self._give_up_s = math.inf

    @property
    def state(self) -> State:
        with self.changed:
            if self.started_s is None:
                return "ended" if self._closed else "new"
            if not self._alive:
                return "ended"
            return "aborting" if self._aborted else "stopping" if self._stopping else "running"

    # -- the graph, before and while it runs -------------------------------------------------------

    def add(self, worker: Worker, taps: Sequence[Tap[Any]]) -> None:
        """Add `worker`; while the pipeline runs its thread starts at once."""
        with self.changed:
            self._check_open()
            self.graph.add(worker, taps)
            if self.started_s is not None:
                self._enlist([worker])
                try:
                    self._start(worker)
                except RuntimeError:
                    self._drop_unstarted(worker)
                    raise
            self.changed.notify_all()

    def attach(self, name: str, taps: Sequence[Tap[Any]]) -> None:
        with self.changed:
            self._check_open()
            worker = self.named(name)
            for tap in taps:
                self.graph.attach(worker, tap)
            self.changed.notify_all()

    def detach(self, name: str, output: object) -> None:
        with self.changed:
            links = [link for link in self.named(name).inputs if link.producer.output is output]
            if not links:
                raise ValueError(f"{self.named(name)} does not read that output")
            for link in links:
                self.graph.detach(link)
            self._reap()

    def remove(self, name: str, drain: bool) -> tuple[Worker, threading.Thread | None]:
        """Let the part go, see `Pipeline.remove`; gives what `wait_gone` wants."""
        with self.changed:
            worker = self.named(name)
            thread = self._threads.get(worker)
            if isinstance(worker, Outlet):
                raise ValueError("the loop over results() is left, not removed")
            if not drain:
                self.graph.cut_off(worker, "removed")
                if worker.output is not None:
                    worker.output.abort("removed")
            self.graph.leave(worker)
            self._reap()
        if isinstance(worker, SourceWorker):
            self._end_source(worker)
        return worker, thread

    def leave_loop(self, outlet: Outlet) -> None:
        """The caller's loop takes no more: nobody waits for it, what it was handed is dropped."""
        with self.changed:
            self.graph.cut_off(outlet, "removed")
            self.graph.leave(outlet)
            self._reap()

    def _drop_unstarted(self, worker: Worker) -> None:
        worker.outcome, worker.phase = "abort", "ended"
        self.graph.leave(worker)
        self.ended(worker)

    def named(self, name: str) -> Worker:
        """Raises ValueError when there is none."""
        worker = self.graph.workers.get(name)
        if worker is None:
            raise ValueError(f"the pipeline has no part named {name!r}")
        return worker

    def wait_gone(self, worker: Worker, thread: threading.Thread | None, timeout: float | None) -> bool:
        """Wait until `worker` has been dropped and its `thread` has ended; False when that takes longer."""
        self._refuse_parts()
        until_s = math.inf if timeout is None else time.monotonic() + timeout
        with self.changed:
            while self.graph.workers.get(worker.name) is worker:
                left = until_s - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(min(left, _POLL_S))
        if thread is not None:
            thread.join()
        return True

    def _check_open(self) -> None:
        over = self.started_s is not None and not self._alive
        if over or self._closed or self._stopping or self._aborted:
            raise RuntimeError("the pipeline is ending: nothing can be added")

    # -- its life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every thread; when one cannot be started, abort those that were and raise RuntimeError."""
        with self.changed:
            self.started_s = time.perf_counter()
            self.graph.started = True
            workers = list(self.graph.workers.values())
            self._enlist(workers)
        for worker in workers:
            try:
                self._start(worker)
            except RuntimeError:
                self.abort()
                for unstarted in [w for w in workers if w not in self._threads]:
                    self.ended(unstarted)
                raise

    def _enlist(self, workers: Sequence[Worker]) -> None:
        self._alive.update(workers)
        self._opening.update(worker for worker in workers if isinstance(worker, Consumer))
        if self._opening and not self._aborted:
            self._give_up_s = math.inf

    def _start(self, worker: Worker) -> None:
        if isinstance(worker, Outlet):
            return
        # Daemons: a part that is stuck must not keep the process from exiting.
        thread = threading.Thread(target=worker.run, args=(self,), name=f"streamseg {worker}", daemon=True)
        self._threads[worker] = thread
        try:
            thread.start()
        except RuntimeError:
            del self._threads[worker]
            raise

    def close(self) -> bool:
        """Nothing can be started any more; False when something has been."""
        with self.changed:
            self._closed = True
            return self.started_s is None

    def stop(self, deadline_s: float | None) -> None:
        with self.changed:
            self._stopping = True
            for worker in self.graph.workers.values():
                if isinstance(worker, Consumer):
                    worker.reader.seal()
            sources = self.graph.sources
            self.changed.notify_all()
        # Closed on the sources' behalf: a source that does not heed its interrupt cannot hold up the drain.
        for source in sources:
            source.output.close()
        if deadline_s is not None:
            self._abort_within(deadline_s)
        for source in sources:
            self._end_source(source)

    def _abort_within(self, deadline_s: float) -> None:
        """Abort after `deadline_s` unless all is over by then; of several deadlines the earliest counts."""
        abort_s = time.monotonic() + deadline_s
        with self.changed:
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
        with self.changed:
            self._aborted = True
            self._start_grace()
            workers = list(self.graph.workers.values())
            for worker in workers:
                if worker.output is not None:
                    worker.output.abort()
                if isinstance(worker, Consumer):
                    worker.reader.seal()
                for link in worker.inputs:
                    link.abort()
            self.changed.notify_all()
        for worker in workers:
            if isinstance(worker, SourceWorker):
                self._end_source(worker)

    def _end_source(self, source: SourceWorker) -> None:
        """Close it on its own behalf and wake it, once."""
        source.output.close()
        with self.changed:
            asked, source.asked_to_end = source.asked_to_end, True
            self.changed.notify_all()
        if asked:
            return
        try:
            source.interrupt()
        except Exception as error:
            self.failures.record(Failure.of(source, "interrupting", error))

    # -- waiting -----------------------------------------------------------------------------------

    def settle(self, until_s: float = math.inf) -> list[Worker]:
        """As `alive_at`, but at most until the grace is over."""
        return self._wait_for_end(lambda: min(until_s, self._give_up_s))

    def alive_at(self, until_s: float) -> list[Worker]:
        """Wait until `until_s` (time.monotonic), less when all have ended; gives the workers still alive."""
        return self._wait_for_end(lambda: until_s)

    def _wait_for_end(self, limit_s: Callable[[], float]) -> list[Worker]:
        self._refuse_parts()
        with self.changed:
            while self._alive:
                left = limit_s() - time.monotonic()
                if left <= 0:
                    break
                self.changed.wait(min(left, _POLL_S))
            alive = [worker for worker in self.graph.workers.values() if worker in self._alive]
            ended = [thread for worker, thread in self._threads.items() if worker not in self._alive]
            ended += self._leaving
        for thread in ended:
            if thread.ident is not None:
                thread.join()
        if not alive:
            for timer in self._timers:
                timer.join(_POLL_S)
        return alive

    def _refuse_parts(self) -> None:
        with self.changed:
            ours = [*self._threads.values(), *self._leaving]
        if threading.current_thread() in ours:
            raise RuntimeError("a part of a pipeline cannot wait for the pipeline: it would wait for itself")

    @property
    def gave_up(self) -> bool:
        """The grace is over."""
        with self.changed:
            return time.monotonic() >= self._give_up_s

    # -- told by the workers -----------------------------------------------------------------------

    def opened(self, worker: Worker) -> None:
        with self.changed:
            self._opening.discard(worker)
            self.changed.notify_all()

    def may_capture(self, worker: Worker) -> bool:
        output = worker.output
        assert output is not None
        with self.changed:
            self.changed.wait_for(
                lambda: not output.accepting or (not self._opening and bool(worker.outputs))
            )
            return output.accepting

    def is_over(self, worker: Worker, source: str) -> bool:
        with self.changed:
            if self.graph.is_over(worker, source) and source not in worker.passed:
                return True
            self._reap()
            return False

    def has_passed(self, worker: Worker, source: str) -> None:
        with self.changed:
            worker.passed.add(source)
            self._reap()

    def failed(self, worker: Worker, error: BaseException) -> None:
        self.failures.record(Failure.of(worker, worker.phase, error))
        if worker.phase == "closing":
            return
        if worker.on_error == "abort":
            self.abort()
            return
        with self.changed:
            fed = self.graph.feeding(worker)
            self.graph.cut_off(worker, "error")
            unwanted = [source for source in fed if not self.graph.reaches_a_sink(source)]
        for source in unwanted:
            self._end_source(source)
        if worker.on_error == "stop":
            self.stop(None)

    def ended(self, worker: Worker) -> None:
        with self.changed:
            self._alive.discard(worker)
            self._opening.discard(worker)
            if not any(isinstance(other, SinkWorker) or self._stays(other) for other in self._alive):
                self._start_grace()
            if not self._alive:
                self.ended_s = time.perf_counter()
                self._over.set()
            self._reap()
            self.changed.notify_all()

    # -- inside ------------------------------------------------------------------------------------

    @staticmethod
    def _stays(worker: Worker) -> bool:
        return isinstance(worker, Consumer) and worker.reader.stays_open

    def _reap(self) -> None:
        for worker in self.graph.reap():
            thread = self._threads.pop(worker, None)
            if thread is not None:
                self._leaving = [*(t for t in self._leaving if t.is_alive()), thread]
            self.failures.free_memory_of(str(worker))
            self.changed.notify_all()

    def _start_grace(self) -> None:
        self._give_up_s = min(self._give_up_s, time.monotonic() + self._grace_s)
