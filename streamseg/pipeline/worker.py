"""The life of one part inside its thread: open, work, let go of the output, close; and that of a source.
Tested in tests/pipeline/test_failures.py.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, Protocol

from streamseg.metrics import StageMetrics
from streamseg.pipeline.channel import Channel
from streamseg.pipeline.output import Output, Tap
from streamseg.pipeline.parts import SourcePart, StopPipeline

__all__ = ["Link", "OnError", "Outcome", "Phase", "SourceWorker", "Supervisor", "Worker"]

OnError = Literal["isolate", "stop", "abort"]
Phase = Literal["waiting", "opening", "running", "closing", "ended"]
Outcome = Literal["drained", "abort", "error"]


class Supervisor(Protocol):
    """What a worker tells and asks the pipeline, from its own thread."""

    def opened(self, worker: Worker) -> None:
        """It is ready for items."""

    def may_capture(self, worker: Worker) -> bool:
        """Wait until everyone it feeds is ready; False when it is to end before that."""

    def is_over(self, worker: Worker, source: str) -> bool:
        """One of its inputs has had the last item of `source`: have all?"""

    def has_passed(self, worker: Worker, source: str) -> None:
        """It has handed on everything of `source`."""

    def stop(self, deadline_s: float | None) -> None:
        """It wishes the pipeline to stop."""

    def failed(self, worker: Worker, error: BaseException) -> None:
        """It raised, in `worker.phase`."""

    def ended(self, worker: Worker) -> None:
        """It has closed; its thread is about to end."""


class Worker(ABC):
    """One part of the graph: its factory, its channels, what it measured and how it ended."""

    kind: str

    def __init__(
        self, name: str, factory: Callable[[], Any], output: Output[Any] | None, on_error: OnError
    ) -> None:
        self.name = name
        self.output = output
        self.on_error = on_error
        self.metrics = StageMetrics()
        self.phase: Phase = "waiting"
        self.ended_ns: int | None = None
        """time.monotonic_ns() when it had closed."""
        self.outcome: Outcome | None = None
        """None until its work has ended; `drained` after a normal end of its input."""
        self.inputs: list[Link] = []
        self.outputs: list[Link] = []
        self.passed: set[str] = set()
        """Sources whose last item it has handed on."""
        self.leaving = False
        """It is being removed."""
        self.past_taken = self.past_offered = 0
        """Of channels that are gone."""
        self._factory = factory

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"

    def run(self, supervisor: Supervisor) -> None:
        """The body of the thread. Whatever is raised goes to the supervisor, nothing leaves."""
        try:
            self._live(supervisor)
        except BaseException as error:
            self.outcome = self.outcome or "error"
            supervisor.failed(self, error)
        finally:
            self._release()
            self.ended_ns = time.monotonic_ns()
            self.phase = "ended"
            supervisor.ended(self)

    def _live(self, supervisor: Supervisor) -> None:
        self.phase = "opening"
        part = self._open()
        try:
            self.phase = "running"
            supervisor.opened(self)
            self.outcome = self._work(part, supervisor)
        except BaseException as error:
            self.outcome = "error"
            supervisor.failed(self, error)
        finally:
            # The output first: a close that hangs must not keep a sink further on from finishing its file.
            self._release()
            self.phase = "closing"
            part.close()

    def _open(self) -> Any:
        return self._factory()

    def _release(self) -> None:
        if self.output is not None:
            self.output.close()

    @abstractmethod
    def _work(self, part: Any, supervisor: Supervisor) -> Outcome:
        """Until the input has ended or the channels are aborted."""

    @property
    def delivered_count(self) -> int:
        """Items that have reached their end here."""
        return 0


class Link(Channel[Any]):
    """A channel and the two parts that it joins."""

    def __init__(self, tap: Tap[Any], producer: Worker, consumer: Worker) -> None:
        origin = producer.name if tap.source is None else f"{producer.name}[{tap.source}]"
        super().__init__(f"{origin} → {consumer.name}", tap.capacity, tap.policy)
        self.source = tap.source
        self.producer = producer
        self.consumer = consumer
        self.leaving = False
        """To be dropped once it has drained."""


class SourceWorker(Worker):
    """Reads one source into its output."""

    kind = "source"
    output: Output[Any]

    def __init__(
        self, name: str, factory: Callable[[], SourcePart[Any]], output: Output[Any], on_error: OnError
    ) -> None:
        super().__init__(name, factory, output, on_error)
        self.asked_to_end = False
        self._source: SourcePart[Any] | None = None

    def interrupt(self) -> None:
        """For other threads. A source that is still being opened sees its closed output instead."""
        source = self._source
        if source is not None and self.phase == "running":
            source.interrupt()

    def _live(self, supervisor: Supervisor) -> None:
        # Opened last, so that items lost while an engine loads are not taken for an overrun.
        if supervisor.may_capture(self):
            super()._live(supervisor)
        else:
            self.outcome = "abort"

    def _open(self) -> SourcePart[Any]:
        source: SourcePart[Any] = super()._open()
        self._source = source
        return source

    def _work(self, part: SourcePart[Any], supervisor: Supervisor) -> Outcome:
        if not self.output.accepting:
            return "abort"
        items = iter(part)
        while True:
            began = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return "drained"
            except StopPipeline as wish:
                supervisor.stop(wish.deadline_s)
                return "drained"
            read = time.perf_counter()
            if not self.output.put(item):
                return "abort"
            del item  # or the last one would live as long as the next read takes
            self._count(began, read, time.perf_counter())

    def _count(self, began: float, read: float, handed: float) -> None:
        self.metrics.work.add(read - began)
        self.metrics.wait_out_s += handed - read
        self.metrics.items_out.add()
        self.metrics.rate.tick(1, handed)
