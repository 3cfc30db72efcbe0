"""Real, small parts to build pipelines from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace

import pytest


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


@pytest.fixture
def parts() -> SimpleNamespace:
    """The classes above, and `made(cls, *args, **kwargs)`."""
    return SimpleNamespace(
        Numbers=Numbers,
        Blocked=Blocked,
        Work=Work,
        Collect=Collect,
        made=lambda cls, *args, **kwargs: Made(lambda: cls(*args, **kwargs)),
    )
