"""Build a graph of sources, stages and sinks and run it. The contract is in the package's docstring."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, TypeVar, get_args

from streamseg.errors import StreamsegError
from streamseg.pipeline.channel import Channel, Policy
from streamseg.pipeline.ledger import Ledger
from streamseg.pipeline.run import Failure, Run, State
from streamseg.pipeline.stage import Sink, Source, Stage
from streamseg.pipeline.worker import OnError, Outlet, SinkWorker, SourceWorker, StageWorker, Worker

__all__ = ["Pipeline", "StuckStage"]

A = TypeVar("A")
B = TypeVar("B")


class StuckStage(StreamsegError):
    """A part of the pipeline does not end. The text names it; its thread is left behind."""

    @classmethod
    def of(cls, workers: Sequence[Worker], waited: str) -> StuckStage:
        names = ", ".join(f"{worker} ({worker.phase})" for worker in workers)
        return cls(f"stuck {waited}: {names}")


class Pipeline:
    """Sources, stages and sinks, each in a thread of its own, joined by channels.

    Build it with `add_source`, `add_stage` and `add_sink`, then `run()`; or `start()` and `wait()`; or
    loop over `results()`. Every channel has exactly one reader. `stop` and `abort` only ask, and
    return at once: any thread may call them, also a stage. `wait`, `join` and `run` wait.

    `grace_s`: how long parts may take to end after an abort, or after every sink has closed, before
    `wait` reports them as stuck.
    """

    def __init__(self, *, grace_s: float = 10.0) -> None:
        self._grace_s = grace_s
        self._run = Run(grace_s)

    # -- building ------------------------------------------------------------------------------

    def add_source(
        self,
        name: str,
        open_source: Callable[[], Source[A]],
        *,
        capacity: int,
        policy: Policy,
        on_error: OnError = "stop",
    ) -> Channel[A]:
        """Add a source; gives the channel of its items.

        `on_error`: what follows when it raises. `stop` stops the whole pipeline gracefully, `isolate`
        lets the other sources go on. Either way what it has delivered is drained to the sinks and
        the error is re-raised at the end.
        """
        if on_error not in get_args(OnError):
            raise ValueError(f"source {name!r}: on_error is {on_error!r}, must be one of {get_args(OnError)}")
        self._check(name)
        channel: Channel[A] = Channel(name, capacity, policy)
        self._add(SourceWorker(name, open_source, channel, on_error), channel)
        return channel

    def add_stage(
        self,
        name: str,
        open_stage: Callable[[], Stage[A, B]],
        inputs: Sequence[Channel[A]],
        *,
        batch: int = 1,
        capacity: int,
        policy: Policy,
    ) -> Channel[B]:
        """Add a stage that takes up to `batch` items at a time, fairly from `inputs`; gives its output."""
        self._check(name)
        channel: Channel[B] = Channel(name, capacity, policy)
        self._add(StageWorker(name, open_stage, inputs, batch, channel), channel)
        return channel

    def add_sink(
        self, name: str, open_sink: Callable[[], Sink[A]], inputs: Sequence[Channel[A]], *, batch: int = 1
    ) -> None:
        """Add a sink that takes up to `batch` items at a time, fairly from `inputs`."""
        self._check(name)
        self._add(SinkWorker(name, open_sink, inputs, batch))

    def _check(self, name: str) -> None:
        if self._run.started_s is not None:
            raise RuntimeError("the pipeline has been started: nothing can be added")
        if any(worker.name == name for worker in self._run.workers):
            raise ValueError(f"the pipeline already has a part named {name!r}")

    def _add(self, worker: Worker, output: Channel[Any] | None = None) -> None:
        self._run.workers.append(worker)
        if output is not None:
            self._run.channels.append(output)

    # -- running -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every thread and return. Raises ValueError when a channel has no reader."""
        if self._run.started_s is not None:
            raise RuntimeError("a pipeline can be started once")
        if not self._run.channels:
            raise ValueError("the pipeline has no source")
        for channel in self._run.channels:
            if not channel.has_reader:
                raise ValueError(f"nobody reads the output of {channel.name!r}")
        self._run.start()

    def run(self) -> None:
        """Start, wait for the end, raise the first failure. Interrupted (KeyboardInterrupt), it aborts."""
        self.start()
        try:
            self.wait()
        except BaseException:
            self.abort()
            self._run.settle()
            raise

    def results(self, inputs: Sequence[Channel[A]]) -> Iterator[A]:
        """Run, with the caller's loop as the sink of `inputs`; ends, or raises, as `run` does.

        Leaving the loop early aborts the pipeline; other sinks are closed properly.
        """
        self._check("results")
        outlet = Outlet(inputs)
        self._add(outlet)
        return self._iterate(outlet)

    def _iterate(self, outlet: Outlet) -> Iterator[Any]:
        self.start()
        try:
            yield from outlet.iterate(self._run)
        finally:
            if outlet.outcome != "drained":
                self.abort()
            self.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything has ended and closed; False when `timeout` seconds pass before.

        Raises the first failure, as it was raised, with notes that name its part and all later
        failures; or StuckStage when parts outlast the grace.
        """
        stuck = self._run.settle(math.inf if timeout is None else time.monotonic() + timeout)
        if stuck and not self._run.gave_up:
            return False
        error = StuckStage.of(stuck, f"{self._grace_s:g} s after the end") if stuck else None
        failures = self._run.failures
        if failures:
            if error is not None:
                failures[0].error.add_note(str(error))
            raise failures[0].error
        if error is not None:
            raise error
        return True

    def join(self, deadline_s: float) -> None:
        """Wait at most `deadline_s` for every thread to end; raises StuckStage naming those that have not."""
        stuck = self._run.alive_at(time.monotonic() + deadline_s)
        if stuck:
            raise StuckStage.of(stuck, f"after {deadline_s:g} s")

    def stop(self, deadline_s: float | None = None) -> None:
        """Ask for a graceful end: nothing more is captured, everything captured reaches the sinks.

        With `deadline_s`, aborts when that has not happened so many seconds from now.
        """
        self._run.stop(deadline_s)

    def abort(self) -> None:
        """Ask for the end now: items in channels are dropped and counted, sinks are closed. Idempotent."""
        self._run.abort()

    # -- looking -------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._run.state

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Everything that was raised, in order; the first is what `wait` raises."""
        return tuple(self._run.failures)

    def ledger(self) -> Ledger:
        """Where the items are."""
        return Ledger.read(self._run.workers, self._run.channels)[0]

    def snapshot(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON: state, ledger, every part and every channel by name."""
        run = self._run
        ledger, channels = Ledger.read(run.workers, run.channels)
        ended = time.perf_counter() if run.ended_s is None else run.ended_s
        return {
            "state": run.state,
            "elapsed_s": 0.0 if run.started_s is None else ended - run.started_s,
            "items": asdict(ledger),
            "parts": {
                worker.name: {"kind": worker.kind, "phase": worker.phase, **worker.metrics.snapshot()}
                for worker in run.workers
            },
            "channels": {name: asdict(stats) for name, stats in channels.items()},
            "failures": [str(failure) for failure in run.failures],
        }
