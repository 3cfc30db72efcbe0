"""Real, small parts to build pipelines from."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace

import pytest

from streamseg.pipeline import Pipeline


class Numbers:
    """A source of the integers below `count`; a gate may hold it, an error may end it."""

    def __init__(self, count: int, *, error: BaseException | None = None, pause_s: float = 0.0) -> None:
        self.count, self.error, self.pause_s = count, error, pause_s
        self.interrupted = threading.Event()
        self.yielded = 0
        self.closed = 0
        self.opened_in = threading.current_thread()

    def __iter__(self) -> Iterator[int]:
        for number in range(self.count):
            if self.interrupted.wait(self.pause_s) if self.pause_s else self.interrupted.is_set():
                return
            self.yielded += 1
            yield number
        if self.error is not None:
            raise self.error

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        assert threading.current_thread() is self.opened_in
        self.closed += 1


class Blocked(Numbers):
    """Yields `count` numbers, then blocks in its read; `deaf`: interrupt does not help, only `release`."""

    def __init__(self, count: int, *, deaf: bool = False) -> None:
        super().__init__(count)
        self.deaf = deaf
        self.blocked = threading.Event()
        self.release = threading.Event()

    def __iter__(self) -> Iterator[int]:
        yield from super().__iter__()
        self.blocked.set()
        self.release.wait()

    def interrupt(self) -> None:
        if not self.deaf:
            super().interrupt()
            self.release.set()


class Fed:
    """A source of `(name, number)` for each number that a test pushes, until `finish` or an interrupt."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.opened = self.closed = 0
        self._queue: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()

    def __call__(self) -> Fed:
        """Its own factory."""
        self.opened += 1
        return self

    def push(self, *numbers: int) -> None:
        for number in numbers:
            self._queue.put(number)

    def finish(self, error: BaseException | None = None) -> None:
        self._queue.put(error)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        while not isinstance(number := self._queue.get(), BaseException | None):
            yield self.name, number
        if number is not None:
            raise number

    def interrupt(self) -> None:
        self._queue.put(None)

    def close(self) -> None:
        self.closed += 1


class Shared:
    """A stage for many sources that gives out what it gets; with `lag` a call late, or when it idles."""

    def __init__(self, *, lag: bool = False) -> None:
        self.lag = lag
        self.held: list[tuple[str, int]] = []
        self.batches: list[list[tuple[str, int]]] = []
        self.calls: list[str] = []

    def process(self, items: list[tuple[str, int]]) -> list[tuple[str, int]]:
        self.calls.append("process")
        self.batches.append(items)
        if self.lag:
            items, self.held = self.held, items
        return items

    def idle(self) -> list[tuple[str, int]]:
        self.calls.append("idle")
        held, self.held = self.held, []
        return held

    def drain(self) -> list[tuple[str, int]]:
        self.calls.append("drain")
        return self.held

    def forget(self, source: str) -> None:
        assert not [item for item in self.held if item[0] == source]
        self.calls.append(f"forget {source}")

    def close(self) -> None:
        self.calls.append("close")


class Cameras:
    """Sources → segment → track, one for all; then a render part and a file for each source."""

    def __init__(
        self, *, batch: int = 4, capacity: int = 4, lag: bool = True, stays_open: bool = True
    ) -> None:
        self.pipeline = Pipeline(grace_s=DEADLINE_S)
        self.segment, self.track = Shared(lag=lag), Shared()
        segmented = self.pipeline.add_stage(
            "segment",
            lambda: self.segment,
            [],
            batch=batch,
            capacity=capacity,
            policy="block",
            stays_open=stays_open,
        )
        self.tracked = self.pipeline.add_stage(
            "track",
            lambda: self.track,
            [segmented],
            batch=batch,
            capacity=capacity,
            policy="block",
            source_of=lambda item: item[0],
        )
        self.sources: dict[str, Fed] = {}
        self.files: dict[str, Collect] = {}
        self.ever_opened: list[Collect] = []

    def add(
        self, name: str, policy="block", capacity=2, gate=None, on_error="abort", source=None, **file
    ) -> Fed:
        source = self.sources[name] = source or Fed(name)
        wanted = self.tracked.of(name, capacity=capacity, policy=policy)
        rendered = self.pipeline.add_stage(
            f"render {name}", Shared, [wanted], capacity=1, policy="block", on_error=on_error
        )

        def open_file() -> Collect:
            self.files[name] = Collect(gate=gate, **file)
            self.ever_opened.append(self.files[name])
            return self.files[name]

        self.pipeline.add_sink(f"file {name}", open_file, [rendered], on_error=on_error)
        frames = self.pipeline.add_source(name, source, capacity=capacity, policy=policy, on_error="isolate")
        self.pipeline.attach("segment", [frames])
        return source

    def numbers(self, name: str) -> list[int]:
        """What has reached the file of that source."""
        assert {source for source, _ in self.files[name].items} <= {name}
        return [number for _, number in self.files[name].items]

    def depth(self, part: str) -> int:
        """Items that wait for it."""
        return sum(stats.depth for stats in self.pipeline.channel_stats(part).values())


class Work:
    """A stage: `change` maps an item to those that come out; with `lag` the results come a call late."""

    def __init__(
        self, change: Callable[[int], Iterable[int]] = lambda item: (item,), *, lag: bool = False
    ) -> None:
        self.change, self.lag = change, lag
        self.held: list[int] = []
        self.calls: list[str] = []
        self.opened_in = threading.current_thread()

    def process(self, items: list[int]) -> Iterator[int]:
        assert items
        self.calls.append("process")
        done = [out for item in items for out in self.change(item)]
        if self.lag:
            done, self.held = self.held, done
        yield from done

    def drain(self) -> Iterator[int]:
        self.calls.append("drain")
        yield from self.held

    def close(self) -> None:
        assert threading.current_thread() is self.opened_in
        self.calls.append("close")


class Collect:
    """A sink that keeps what it is given; `fail_at` the n-th item, `pause_s` for each, `gate` to hold it."""

    def __init__(
        self,
        *,
        pause_s: float = 0.0,
        fail_at: int | None = None,
        gate: threading.Event | None = None,
        close_error: BaseException | None = None,
    ) -> None:
        self.pause_s, self.fail_at, self.gate, self.close_error = pause_s, fail_at, gate, close_error
        self.items: list[int] = []
        self.closed = 0
        self.opened_in = threading.current_thread()

    def process(self, items: list[int]) -> None:
        assert items
        if self.gate is not None:
            self.gate.wait()
        for item in items:
            if self.fail_at is not None and len(self.items) >= self.fail_at:
                raise OSError(28, "No space left on device")
            self.items.append(item)
            time.sleep(self.pause_s)

    def close(self) -> None:
        assert threading.current_thread() is self.opened_in
        self.closed += 1
        if self.close_error is not None:
            raise self.close_error


class Made:
    """A factory that remembers what it made, as `.it`."""

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make
        self.it: object = None

    def __call__(self) -> object:
        self.it = self.make()
        return self.it


DEADLINE_S = 60.0


def build(source, stage, sink, *, policy="block", capacity=2, grace_s=DEADLINE_S, batch=1, on_error="stop"):
    pipeline = Pipeline(grace_s=grace_s)
    items = pipeline.add_source("camera", source, capacity=capacity, policy=policy, on_error=on_error)
    results = pipeline.add_stage("segment", stage, [items], batch=batch, capacity=capacity, policy="block")
    pipeline.add_sink("file", sink, [results])
    return pipeline


def wait_for(condition) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.002)


def run_within_deadline(pipeline: Pipeline) -> None:
    pipeline.start()
    assert pipeline.wait(DEADLINE_S), f"not ended: {pipeline.snapshot()}"


def run_with_signal(pipeline: Pipeline, source: Made, number: int) -> None:
    """Run to the end; once `source`, a `Blocked`, waits in a read, this process gets the signal."""

    def send() -> None:
        wait_for(lambda: source.it is not None and source.it.blocked.is_set())
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        pipeline.run()
    finally:
        sender.join()


def wait_until_full(pipeline: Pipeline) -> None:
    """The sink of `build` holds its first item, and a put waits for room at each channel."""

    def is_full() -> bool:
        channels = pipeline.snapshot()["channels"]
        return channels["segment → file"]["taken"] == 1 and all(c["waiting"] == 1 for c in channels.values())

    wait_for(is_full)


def assert_balanced(pipeline: Pipeline, *, captured: int, delivered: int, **dropped: int) -> None:
    ledger = pipeline.ledger()
    assert ledger.in_flight == 0
    assert (ledger.captured, ledger.delivered) == (captured, delivered)
    assert {cause: n for cause, n in ledger.dropped.items() if n} == {c: n for c, n in dropped.items() if n}
    assert ledger.captured + ledger.created == ledger.delivered + sum(ledger.dropped.values())


HELPERS = (build, wait_for, run_within_deadline, run_with_signal, wait_until_full, assert_balanced)


@pytest.fixture
def parts() -> SimpleNamespace:
    """The classes and functions above, and `made(cls, *args, **kwargs)`."""
    return SimpleNamespace(
        Numbers=Numbers,
        Blocked=Blocked,
        Work=Work,
        Fed=Fed,
        Shared=Shared,
        Cameras=Cameras,
        Collect=Collect,
        **{f.__name__: f for f in HELPERS},
        made=lambda cls, *args, **kwargs: Made(lambda: cls(*args, **kwargs)),
    )
