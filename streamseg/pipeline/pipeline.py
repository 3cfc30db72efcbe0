"""Build a graph of sources, stages and sinks and run it. The contract is in the package's docstring."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self, TypeVar, get_args

from streamseg.errors import StreamsegError
from streamseg.pipeline.channel import ChannelStats, Policy
from streamseg.pipeline.consumer import Outlet, SinkWorker, StageWorker
from streamseg.pipeline.failures import Failure
from streamseg.pipeline.ledger import Ledger
from streamseg.pipeline.output import Output, OutputCounts, Tap
from streamseg.pipeline.parts import SinkPart, SourcePart, StagePart
from streamseg.pipeline.supervision import State, Supervision
from streamseg.pipeline.worker import OnError, SourceWorker, Worker

__all__ = ["Inputs", "Pipeline", "StuckStage"]

A = TypeVar("A")
B = TypeVar("B")
Inputs = Sequence[Output[A] | Tap[A]]


class StuckStage(StreamsegError):
    """A part of the pipeline does not end. The text names it; its thread is left behind."""

    @classmethod
    def of(cls, workers: Sequence[Worker], waited: str) -> StuckStage:
        names = ", ".join(f"{worker} ({worker.phase})" for worker in workers)
        return cls(f"stuck {waited}: {names}")


class Pipeline:
    """Sources, stages and sinks, each in a thread of its own, joined by channels.

    Build it with `add_source`, `add_stage` and `add_sink`, then `run()`; or `start()` and `wait()`; or
    loop over `results()`. Parts can be added and removed at any time before it stops. `stop`, `abort`
    and `remove` only ask, and return at once: any thread may call them, also a part. `wait`, `join` and
    `run` wait. As a context manager it is closed at the end of the block.

    `grace_s`: how long parts may take to end after an abort, or after every sink has closed, before
    `wait` reports them as stuck.
    """

    def __init__(self, *, grace_s: float = 10.0) -> None:
        self._grace_s = grace_s
        self._supervision = Supervision(grace_s)

    # -- building, also while it runs --------------------------------------------------------------

    def add_source(
        self,
        name: str,
        open_source: Callable[[], SourcePart[A]],
        *,
        capacity: int,
        policy: Policy,
        on_error: OnError = "stop",
    ) -> Output[A]:
        """Add a source; gives its output, whose readers have channels of `capacity` and `policy`.

        It is opened when it has a reader and every stage and sink is ready. `on_error`: what follows when
        it raises. `stop` stops the whole pipeline gracefully, `isolate` lets everyone else go on; either
        way what it has delivered is drained to the sinks and the error is re-raised at the end. `abort`
        aborts. Raises ValueError, and RuntimeError when the pipeline is ending.
        """
        output: Output[A] = Output(name, capacity, policy, is_source=True)
        self._add(SourceWorker(name, open_source, output, on_error), ())
        return output

    def add_stage(
        self,
        name: str,
        open_stage: Callable[[], StagePart[A, B]],
        inputs: Inputs[A],
        *,
        batch: int = 1,
        capacity: int,
        policy: Policy,
        source_of: Callable[[B], str] | None = None,
        on_error: OnError = "abort",
        stays_open: bool = False,
        window_s: float = 0.0,
    ) -> Output[B]:
        """Add a stage that takes up to `batch` items at a time, fairly from `inputs`; gives its output.

        `source_of`: the name of the source that a result comes from, for readers of one source
        (`Output.of`). `stays_open`: it goes on without inputs, until the pipeline stops or it is removed;
        sources may come later. `window_s`: how long it may wait for a batch to fill. `on_error` as for a
        source, only that what is on its way to it is dropped; sources whose items then reach no sink are
        stopped.
        """
        output: Output[B] = Output(name, capacity, policy, source_of=source_of)
        self._add(StageWorker(name, open_stage, output, on_error, batch, stays_open, window_s), inputs)
        return output

    def add_sink(
        self,
        name: str,
        open_sink: Callable[[], SinkPart[A]],
        inputs: Inputs[A],
        *,
        batch: int = 1,
        on_error: OnError = "abort",
        stays_open: bool = False,
    ) -> None:
        """Add a sink that takes up to `batch` items at a time, fairly from `inputs`; the rest as a stage."""
        self._add(SinkWorker(name, open_sink, on_error, batch, stays_open), inputs)

    def attach(self, name: str, inputs: Inputs[A]) -> None:
        """Let the stage, sink or loop (`results`) of that name read `inputs` too, from now on."""
        self._supervision.attach(name, _taps(inputs))

    def detach(self, name: str, output: Output[A]) -> None:
        """Hand nothing more of `output` to the part of that name; it gets what is on its way.

        For it, and behind it, the sources that no longer reach it have ended.
        """
        self._supervision.detach(name, output)

    def remove(self, name: str, *, drain: bool = True, timeout: float | None = 0.0) -> bool:
        """Ask a part to leave; True when it is gone within `timeout` seconds (None: without limit).

        What it captured, or was handed, is drained to the sinks first; without `drain` it is dropped. Parts
        that are left without any input leave with it. Once gone nothing of it is held, and its name can
        be used again. Raises ValueError when there is no such part.
        """
        worker, thread = self._supervision.remove(name, drain)
        if timeout == 0.0:
            return name not in self
        return self._supervision.wait_gone(worker, thread, timeout)

    def __contains__(self, name: str) -> bool:
        """Whether there is a part of that name; one that is leaving still is."""
        return name in self._supervision.graph.workers

    def _add(self, worker: Worker, inputs: Inputs[Any]) -> None:
        if worker.on_error not in get_args(OnError):
            raise ValueError(f"{worker}: on_error is {worker.on_error!r}, must be one of {get_args(OnError)}")
        self._supervision.add(worker, _taps(inputs))

    # -- running -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every thread and return. Raises ValueError when a part has no reader or no input."""
        if self._supervision.started_s is not None:
            raise RuntimeError("a pipeline can be started once")
        if self._supervision.state == "ended":
            raise RuntimeError("the pipeline has been closed")
        self._supervision.graph.check_complete()
        self._supervision.start()

    def run(self, on_refresh: Callable[[], None] | None = None, refresh_s: float = 0.25) -> None:
        """Start, wait for the end, raise the first failure; calls `on_refresh` every `refresh_s` meanwhile.

        Interrupted (KeyboardInterrupt), or when `on_refresh` raises, it aborts, finishes every sink and
        raises that.
        """
        self.start()
        try:
            while not self.wait(refresh_s if on_refresh else None):
                if on_refresh:
                    on_refresh()
        except BaseException:
            self.close()
            raise

    def results(
        self, inputs: Inputs[A], *, stays_open: bool = False, drain_s: float | None = None
    ) -> Iterator[A]:
        """Run, with the caller's loop as the sink of `inputs`; ends, or raises, as `run` does.

        Leaving the loop early aborts the pipeline; with `drain_s` it stops it, so that what was captured
        reaches the other sinks, for so many seconds at most. Its name as a part is `results`.
        """
        outlet = Outlet(stays_open)
        self._add(outlet, inputs)
        return self._iterate(outlet, drain_s)

    def _iterate(self, outlet: Outlet, drain_s: float | None) -> Iterator[Any]:
        self.start()
        items = outlet.iterate(self._supervision)
        try:
            for item in items:
                yield item
                del item  # or the last one would live as long as the next takes
        except GeneratorExit:
            if drain_s is None:
                raise
            self._supervision.leave_loop(outlet)
            self.stop(drain_s)
            items.close()
            outlet.outcome = "drained"
            raise
        finally:
            items.close()
            if outlet.outcome != "drained":
                self.abort()
            self.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything has ended and closed; False when `timeout` seconds pass before.

        Raises the first failure, as it was raised, with notes that name its part and later
        failures; or StuckStage when parts outlast the grace.
        """
        stuck = self._supervision.settle(math.inf if timeout is None else time.monotonic() + timeout)
        if stuck and not self._supervision.gave_up:
            return False
        error = StuckStage.of(stuck, f"{self._grace_s:g} s after the end") if stuck else None
        failures = self.failures
        if failures:
            if error is not None:
                failures[0].error.add_note(str(error))
            raise failures[0].error
        if error is not None:
            raise error
        return True

    def join(self, deadline_s: float) -> None:
        """Wait at most `deadline_s` for every thread to end; raises StuckStage naming those that have not."""
        stuck = self._supervision.alive_at(time.monotonic() + deadline_s)
        if stuck:
            raise StuckStage.of(stuck, f"after {deadline_s:g} s")

    def stop(self, deadline_s: float | None = None) -> None:
        """Ask for a graceful end: nothing more is captured, everything captured reaches the sinks.

        With `deadline_s`, aborts when that has not happened so many seconds from now. A part may also
        raise StopPipeline.
        """
        self._supervision.stop(deadline_s)

    def abort(self) -> None:
        """Ask for the end now: items in channels are dropped and counted, sinks are closed. Idempotent."""
        self._supervision.abort()

    def close(self) -> None:
        """End it, whatever it does: abort, and wait until every part has closed or the grace is over.

        Raises nothing; `failures` has what was raised. One that was never started calls no factory and
        cannot be started any more. Idempotent.
        """
        if not self._supervision.close():
            self.abort()
            self._supervision.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- looking -------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._supervision.state

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What was raised, in order: the first, which is what `wait` raises, and the latest 99."""
        return self._supervision.failures.all()

    def ledger(self) -> Ledger:
        """Where the items are."""
        with self._supervision.changed:
            return self._supervision.graph.accounts()[0]

    def part_stats(self, name: str) -> dict[str, Any]:
        """Kind, phase and numbers of one part, ready for JSON; costs the same however many there are."""
        return _part_stats(self._named(name))

    def ended_ns(self, name: str) -> int | None:
        """When (time.monotonic_ns) the part of that name had closed; None while it has not."""
        return self._named(name).ended_ns

    def output_stats(self, name: str) -> OutputCounts:
        """What the source or stage of that name has handed over."""
        output = self._named(name).output
        if output is None:
            raise ValueError(f"{name!r} is a sink: it hands nothing over")
        return output.counts()

    def channel_stats(self, name: str) -> dict[str, ChannelStats]:
        """The channels that bring items to the part of that name, by their own names."""
        with self._supervision.changed:
            return {link.name: link.stats() for link in self._named(name).inputs}

    def reader_stats(self, name: str) -> dict[str, ChannelStats]:
        """The channels that take items from the part of that name, by their own names."""
        with self._supervision.changed:
            return {link.name: link.stats() for link in self._named(name).outputs}

    def _named(self, name: str) -> Worker:
        return self._supervision.named(name)

    def snapshot(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON: state, ledger, every part and every channel by name."""
        supervision = self._supervision
        with supervision.changed:
            ledger, channels = supervision.graph.accounts()
            workers = list(supervision.graph.workers.values())
        ended = time.perf_counter() if supervision.ended_s is None else supervision.ended_s
        return {
            "state": supervision.state,
            "elapsed_s": 0.0 if supervision.started_s is None else ended - supervision.started_s,
            "items": asdict(ledger),
            "parts": {worker.name: _part_stats(worker) for worker in workers},
            "channels": {link.name: asdict(stats) for link, stats in channels.items()},
            "failed": supervision.failures.count,
            "failures": [str(failure) for failure in self.failures],
        }


def _taps(inputs: Inputs[Any]) -> list[Tap[Any]]:
    return [entry.tap() if isinstance(entry, Output) else entry for entry in inputs]


def _part_stats(worker: Worker) -> dict[str, Any]:
    return {"kind": worker.kind, "phase": worker.phase, **worker.metrics.snapshot()}
