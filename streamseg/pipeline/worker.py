"""The life of one source, stage or sink inside its thread: open, work, let go of the output, close."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol

from streamseg.metrics import Counter, StageMetrics
from streamseg.pipeline.channel import Channel, Reader
from streamseg.pipeline.stage import Sink, Source, Stage

__all__ = [
    "Consumer",
    "OnError",
    "Outlet",
    "SinkWorker",
    "SourceWorker",
    "StageWorker",
    "Supervisor",
    "Worker",
]

OnError = Literal["stop", "isolate"]
Phase = Literal["waiting", "opening", "running", "closing", "ended"]
Outcome = Literal["drained", "abort", "error"]


class Supervisor(Protocol):
    """What a worker tells and asks the pipeline, from its own thread."""

    def opened(self, worker: Worker) -> None:
        """It is ready for items."""

    def may_capture(self) -> bool:
        """Wait until every stage and sink is ready; False when the pipeline stops before that."""

    def failed(self, worker: Worker, error: BaseException) -> None:
        """It raised, in `worker.phase`."""

    def ended(self, worker: Worker) -> None:
        """It has closed; its thread is about to end."""


class Worker(ABC):
    """One part of the graph: its factory, its channels, what it measured and how it ended."""

    kind: str

    def __init__(self, name: str, factory: Callable[[], Any], output: Channel[Any] | None) -> None:
        self.name = name
        self.output = output
        self.metrics = StageMetrics()
        self.phase: Phase = "waiting"
        self.outcome: Outcome | None = None
        """None until its work has ended; `drained` after a normal end of its input."""
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
            self.phase = "ended"
            supervisor.ended(self)

    def _live(self, supervisor: Supervisor) -> None:
        self.phase = "opening"
        part = self._open()
        try:
            self.phase = "running"
            supervisor.opened(self)
            self.outcome = self._work(part)
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
    def _work(self, part: Any) -> Outcome:
        """Until the input has ended or the channels are aborted."""


class SourceWorker(Worker):
    """Reads one source into its channel."""

    kind = "source"
    output: Channel[Any]

    def __init__(
        self, name: str, factory: Callable[[], Source[Any]], output: Channel[Any], on_error: OnError
    ) -> None:
        super().__init__(name, factory, output)
        self.on_error = on_error
        self._source: Source[Any] | None = None

    def interrupt(self) -> None:
        """For other threads. A source that is still being opened sees its closed channel instead."""
        source = self._source
        if source is not None and self.phase == "running":
            source.interrupt()

    def _live(self, supervisor: Supervisor) -> None:
        # Opened last, so that items lost while an engine loads are not taken for an overrun.
        if supervisor.may_capture():
            super()._live(supervisor)
        else:
            self.outcome = "abort"

    def _open(self) -> Source[Any]:
        source: Source[Any] = super()._open()
        self._source = source
        return source

    def _work(self, part: Source[Any]) -> Outcome:
        if not self.output.accepting:
            return "abort"
        items = iter(part)
        while True:
            began = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
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


class Consumer(Worker):
    """What stages and sinks share: batches from the fair reader of their inputs."""

    def __init__(
        self,
        name: str,
        factory: Callable[[], Any],
        inputs: Sequence[Channel[Any]],
        batch: int,
        output: Channel[Any] | None = None,
    ) -> None:
        super().__init__(name, factory, output)
        self.reader: Reader[Any] = Reader(inputs, batch)

    def next_items(self) -> list[Any]:
        """As `Reader.take`, measured."""
        began = time.perf_counter()
        items = self.reader.take()
        self.metrics.wait_in_s += time.perf_counter() - began
        self.metrics.items_in.add(len(items))
        return items

    def _work(self, part: Any) -> Outcome:
        while self._step(part):
            pass
        return "abort" if self.reader.aborted else self._finish(part)

    @abstractmethod
    def _step(self, part: Any) -> bool:
        """One batch; False at the end of the input or when nobody wants the output."""

    def _finish(self, part: Any) -> Outcome:
        """The input has ended normally."""
        return "drained"


class StageWorker(Consumer):
    """Runs one stage between its channels."""

    kind = "stage"
    output: Channel[Any]

    def __init__(
        self,
        name: str,
        factory: Callable[[], Stage[Any, Any]],
        inputs: Sequence[Channel[Any]],
        batch: int,
        output: Channel[Any],
    ) -> None:
        super().__init__(name, factory, inputs, batch, output)

    def _step(self, part: Stage[Any, Any]) -> bool:
        items = self.next_items()
        return bool(items) and self._forward(lambda: part.process(items))

    def _finish(self, part: Stage[Any, Any]) -> Outcome:
        return "drained" if self._forward(part.drain) else "abort"

    def _forward(self, produce: Callable[[], Iterable[Any]]) -> bool:
        """Put what `produce` yields, which may be lazy; False when the output is aborted."""
        began = time.perf_counter()
        put_s = 0.0
        count = 0
        try:
            for item in produce():
                ready = time.perf_counter()
                accepted = self.output.put(item)
                put_s += time.perf_counter() - ready
                if not accepted:
                    return False
                count += 1
            return True
        finally:
            self._count(count, began, put_s)

    def _count(self, count: int, began: float, put_s: float) -> None:
        now = time.perf_counter()
        self.metrics.work.add(now - began - put_s)
        self.metrics.wait_out_s += put_s
        if count:
            self.metrics.items_out.add(count)
            self.metrics.rate.tick(count, now)


class SinkWorker(Consumer):
    """Feeds one sink."""

    kind = "sink"

    def __init__(
        self, name: str, factory: Callable[[], Sink[Any]], inputs: Sequence[Channel[Any]], batch: int
    ) -> None:
        super().__init__(name, factory, inputs, batch)
        self.delivered = Counter()

    def deliver(self, count: int) -> None:
        """`count` items have reached their end."""
        self.delivered.add(count)
        self.metrics.items_out.add(count)
        self.metrics.rate.tick(count)

    def _step(self, part: Sink[Any]) -> bool:
        items = self.next_items()
        if not items:
            return False
        began = time.perf_counter()
        try:
            part.process(items)
        finally:
            self.metrics.work.add(time.perf_counter() - began)
        self.deliver(len(items))
        return True


class Outlet(SinkWorker):
    """A sink that is a loop in the caller's thread."""

    def __init__(self, inputs: Sequence[Channel[Any]]) -> None:
        super().__init__("results", _no_factory, inputs, batch=1)

    def iterate(self, supervisor: Supervisor) -> Iterator[Any]:
        """The items; delivered when the loop gets them."""
        self.phase = "running"
        supervisor.opened(self)
        try:
            while items := self.next_items():
                self.deliver(len(items))
                yield from items
            self.outcome = "abort" if self.reader.aborted else "drained"
        finally:
            self.outcome = self.outcome or "abort"
            self.phase = "ended"
            supervisor.ended(self)


def _no_factory() -> Any:
    raise AssertionError("an outlet has no thread and opens nothing")
