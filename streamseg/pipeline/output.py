"""What a source or stage hands over, to any number of readers. Tested in tests/pipeline/test_readers.py."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from streamseg.pipeline.channel import Channel, LossCause, Policy

__all__ = ["Output", "OutputCounts", "Tap"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OutputCounts:
    """One consistent reading."""

    yielded: int
    """Items handed over, each once, however many readers there are."""
    unread: int
    """Of these, items that no reader wanted."""


@dataclass(frozen=True, slots=True)
class Tap(Generic[T]):
    """One reader's view of an output: a channel of its own."""

    output: Output[T]
    source: str | None
    """The one source whose items it wants; None: all."""
    capacity: int
    policy: Policy


class Output(Generic[T]):
    """The items of one part. Each reader has a channel of its own, with its own capacity and policy.

    Given as an input it stands for a reader of everything, with the capacity and policy of its part;
    `tap` and `of` give others.
    """

    def __init__(
        self,
        name: str,
        capacity: int,
        policy: Policy,
        *,
        source_of: Callable[[T], str] | None = None,
        is_source: bool = False,
    ) -> None:
        """`source_of`: the name of the source that an item comes from."""
        Channel[T](name, capacity, policy)  # refuses what no reader could have
        self.name = name
        self.capacity = capacity
        self.policy = policy
        self._source_of = source_of
        self._is_source = is_source
        self._lock = threading.Lock()
        self._whole: tuple[Channel[T], ...] = ()
        self._of: dict[str, tuple[Channel[T], ...]] = {}
        self._yielded = self._unread = 0
        self._closed = self._aborted = self._putting = False

    # -- who reads ---------------------------------------------------------------------------------

    def tap(self, *, capacity: int | None = None, policy: Policy | None = None) -> Tap[T]:
        """A reader of everything."""
        return Tap(self, None, capacity or self.capacity, policy or self.policy)

    def of(self, source: str, *, capacity: int | None = None, policy: Policy | None = None) -> Tap[T]:
        """A reader of what comes from the source of that name. The stage needs `source_of`."""
        if self._source_of is None:
            raise ValueError(f"{self.name!r} was added without source_of: it cannot tell {source!r} apart")
        return Tap(self, source, capacity or self.capacity, policy or self.policy)

    @property
    def tells_sources_apart(self) -> bool:
        return self._source_of is not None

    def attach(self, channel: Channel[T], source: str | None) -> None:
        """Hand items to `channel` from now on; one of a part that has ended is closed at once."""
        with self._lock:
            if source is not None:
                self._of[source] = _sorted((*self._of.get(source, ()), channel))
            else:
                self._whole = _sorted((*self._whole, channel))
            aborted = self._aborted
        if aborted:
            channel.abort()
        self._close_when_closed()

    def detach(self, channel: Channel[T]) -> None:
        """Hand nothing more to `channel`. A put under way still finds it, unless it is closed."""
        with self._lock:
            self._whole = tuple(other for other in self._whole if other is not channel)
            kept = {key: tuple(c for c in of if c is not channel) for key, of in self._of.items()}
            self._of = {key: of for key, of in kept.items() if of}

    def readers(self) -> tuple[Channel[T], ...]:
        with self._lock:
            return (*self._whole, *(channel for of in self._of.values() for channel in of))

    # -- the producer's end ------------------------------------------------------------------------

    def put(self, item: T) -> bool:
        """Hand `item` to everyone who wants it. False when nobody ever will: stop producing.

        An output that is closed counts nothing.
        """
        source = self._source_of(item) if self._source_of else None
        with self._lock:
            if self._closed:
                return False
            self._yielded += 1
            self._putting = True
            wanting = self._whole if source is None else (*self._whole, *self._of.get(source, ()))
        offered = sum(channel.offer(item) for channel in wanting)
        with self._lock:
            self._putting = False
            self._unread += not offered
            going_on = self._is_open()
        if not going_on:
            self._close_when_closed()
        return going_on

    def end_of(self, source: str) -> None:
        """No more items of `source`: its readers end, the others are told."""
        with self._lock:
            of, whole = self._of.get(source, ()), self._whole
        for channel in (*of, *whole):
            channel.end_of(source)
        for channel in of:
            channel.close()

    def close(self) -> None:
        """Nothing more comes. A put under way still reaches every reader. Idempotent."""
        with self._lock:
            self._closed = True
        self._close_when_closed()

    def _close_when_closed(self) -> None:
        with self._lock:
            if self._putting or not self._closed:
                return
        for channel in self.readers():
            if self._is_source:
                channel.end_of(self.name)
            channel.close()

    def abort(self, cause: LossCause = "abort") -> None:
        """Drop what is on the way to its readers. Idempotent."""
        with self._lock:
            self._aborted = True
        for channel in self.readers():
            channel.abort(cause)

    @property
    def accepting(self) -> bool:
        """Neither closed nor aborted."""
        with self._lock:
            return self._is_open()

    def _is_open(self) -> bool:
        return not (self._closed or self._aborted)

    def counts(self) -> OutputCounts:
        with self._lock:
            return OutputCounts(self._yielded, self._unread)


def _sorted(channels: tuple[Channel[Any], ...]) -> tuple[Channel[Any], ...]:
    """Those that never wait first: a reader that holds up the producer holds up only who waits as well."""
    return tuple(sorted(channels, key=lambda channel: channel.policy == "block"))
