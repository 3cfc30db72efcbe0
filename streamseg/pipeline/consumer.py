"""The life of a stage, a sink, or the caller's own loop: take, process, pass on the ends of sources.
Tested in tests/pipeline/test_pipeline.py.

Tested in test_idle.py and, for ends, in test_readers.py.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable
from typing import Any

from streamseg.metrics import Counter
from streamseg.pipeline.output import Output
from streamseg.pipeline.parts import Finishes, Forgets, Idles, SinkPart, StagePart, StopPipeline
from streamseg.pipeline.reader import Reader
from streamseg.pipeline.worker import OnError, Outcome, Supervisor, Worker

__all__ = ["Consumer", "Outlet", "SinkWorker", "StageWorker"]


class Consumer(Worker):
    """A worker with inputs."""

    def __init__(
        self,
        name: str,
        factory: Callable[[], Any],
        output: Output[Any] | None,
        on_error: OnError,
        batch: int,
        stays_open: bool,
        window_s: float = 0.0,
    ) -> None:
        super().__init__(name, factory, output, on_error)
        self.reader: Reader[Any] = Reader((), batch, stays_open=stays_open, window_s=window_s)
        self._rested = True

    def next_items(self, part: Any, supervisor: Supervisor) -> list[Any]:
        """As `Reader.take`, measured; in between tells `part` what has ended, and lets it idle."""
        began = time.perf_counter()
        worked_s = 0.0
        reader = self.reader
        while True:
            reader.listen()
            busy = time.perf_counter()
            # First, as everything taken so far has been processed and handed on.
            passed = reader.passed()
            for source in passed:
                self._pass_on_end(part, supervisor, source)
            gathering_s = reader.gathering_s()
            items = [] if gathering_s else reader.sweep()
            if items:
                self._rested = False
                break
            if not passed:
                if reader.at_end():
                    break
                if self._rested or gathering_s:
                    reader.wait(gathering_s)
                    continue
                self._rest(part, supervisor)
            worked_s += time.perf_counter() - busy
        self.metrics.wait_in_s += time.perf_counter() - began - worked_s
        self.metrics.items_in.add(len(items))
        return items

    def _pass_on_end(self, part: Any, supervisor: Supervisor, source: str) -> None:
        if not supervisor.is_over(self, source):
            return
        if not self._rested:
            self._rest(part, supervisor)
        self._let_go(part, supervisor, source)
        if isinstance(part, Forgets):
            part.forget(source)
        if self.output is not None:
            self.output.end_of(source)
        supervisor.has_passed(self, source)

    def _rest(self, part: Any, supervisor: Supervisor) -> None:
        """Let `part` hand over what it holds."""
        self._rested = True

    def _let_go(self, part: Any, supervisor: Supervisor, source: str) -> None:
        """Let `part` hand over what it holds of a source that has ended."""

    def _work(self, part: Any, supervisor: Supervisor) -> Outcome:
        while self._step(part, supervisor):
            pass
        return "abort" if self.reader.aborted else self._finish(part, supervisor)

    @abstractmethod
    def _step(self, part: Any, supervisor: Supervisor) -> bool:
        """One batch; False at the end of the input or when nobody wants the output."""

    def _finish(self, part: Any, supervisor: Supervisor) -> Outcome:
        """The input has ended normally."""
        return "drained"


class StageWorker(Consumer):
    """Runs one stage between its channels."""

    kind = "stage"
    output: Output[Any]

    def __init__(
        self,
        name: str,
        factory: Callable[[], StagePart[Any, Any]],
        output: Output[Any],
        on_error: OnError,
        batch: int,
        stays_open: bool,
        window_s: float = 0.0,
    ) -> None:
        super().__init__(name, factory, output, on_error, batch, stays_open, window_s)
        self._can_idle = False

    def _work(self, part: Any, supervisor: Supervisor) -> Outcome:
        self._can_idle = isinstance(part, Idles)  # 5 µs: not each time that nothing waits
        return super()._work(part, supervisor)

    def _step(self, part: StagePart[Any, Any], supervisor: Supervisor) -> bool:
        items = self.next_items(part, supervisor)
        return bool(items) and self._forward(lambda: part.process(items), supervisor)

    def _finish(self, part: StagePart[Any, Any], supervisor: Supervisor) -> Outcome:
        wanted = self.output.accepting
        return "drained" if wanted and self._forward(part.drain, supervisor) else "abort"

    def _rest(self, part: Any, supervisor: Supervisor) -> None:
        super()._rest(part, supervisor)
        if self._can_idle:
            self._forward(part.idle, supervisor)

    def _let_go(self, part: Any, supervisor: Supervisor, source: str) -> None:
        if isinstance(part, Finishes):
            self._forward(lambda: part.finish(source), supervisor)

    def _forward(self, produce: Callable[[], Iterable[Any]], supervisor: Supervisor) -> bool:
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
        except StopPipeline as wish:
            supervisor.stop(wish.deadline_s)
        finally:
            self._count(count, began, put_s)
        return True

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
        self,
        name: str,
        factory: Callable[[], SinkPart[Any]],
        on_error: OnError = "abort",
        batch: int = 1,
        stays_open: bool = False,
    ) -> None:
        super().__init__(name, factory, None, on_error, batch, stays_open)
        self._delivered = Counter()

    @property
    def delivered_count(self) -> int:
        return self._delivered.value

    def deliver(self, count: int) -> None:
        """`count` items have reached their end."""
        self._delivered.add(count)
        self.metrics.items_out.add(count)
        self.metrics.rate.tick(count)

    def _step(self, part: SinkPart[Any], supervisor: Supervisor) -> bool:
        items = self.next_items(part, supervisor)
        if not items:
            return False
        began = time.perf_counter()
        try:
            part.process(items)
        except StopPipeline as wish:
            supervisor.stop(wish.deadline_s)
        finally:
            self.metrics.work.add(time.perf_counter() - began)
        self.deliver(len(items))
        return True


class Outlet(SinkWorker):
    """A sink that is a loop in the caller's thread."""

    def __init__(self, stays_open: bool) -> None:
        super().__init__("results", _no_factory, stays_open=stays_open)

    def iterate(self, supervisor: Supervisor) -> Generator[Any, None, None]:
        """The items; delivered when the loop gets them."""
        self.phase = "running"
        supervisor.opened(self)
        try:
            while items := self.next_items(None, supervisor):
                self.deliver(len(items))
                yield items.pop()
            self.outcome = "abort" if self.reader.aborted else "drained"
        finally:
            self.outcome = self.outcome or "abort"
            self.phase = "ended"
            supervisor.ended(self)


def _no_factory() -> Any:
    raise AssertionError("an outlet has no thread and opens nothing")
