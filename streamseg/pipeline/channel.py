"""Bounded, closable hand-over of items between threads, and the fair reader that merges several."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

__all__ = ["Channel", "ChannelStats", "Policy", "Reader"]

T = TypeVar("T")
Policy = Literal["block", "drop_oldest"]


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """One consistent reading: `offered == taken + dropped + depth + waiting`."""

    capacity: int
    offered: int
    """Items given to `put` while the channel was open."""
    taken: int
    """Items its reader has got."""
    overrun: int
    """Items dropped by `drop_oldest` because the reader was slower."""
    aborted: int
    """Items that were inside, or arrived, when the channel was aborted."""
    depth: int
    """Items inside now."""
    waiting: int
    """Items whose `put` waits for room."""
    depth_max: int
    depth_mean: float
    """Mean depth just after a put."""
    wait_put_s: float
    """Seconds that `put` waited for room."""
    wait_get_s: float
    """Seconds that the reader waited while this channel was empty."""


class Channel(Generic[T]):
    """A queue of at most `capacity` items between one producer and one `Reader`.

    `block`: a put waits for room, nothing is lost. `drop_oldest`: a put never waits, the oldest item
    makes room and is counted. No end marker travels inside: `close` and `abort` are states.
    """

    def __init__(self, name: str, capacity: int, policy: Policy = "block") -> None:
        if capacity < 1:
            raise ValueError(f"channel {name!r}: capacity is {capacity}, must be at least 1")
        if policy not in get_args(Policy):
            raise ValueError(f"channel {name!r}: policy is {policy!r}, must be one of {get_args(Policy)}")
        self.name = name
        self.capacity = capacity
        self.policy = policy
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._bell: threading.Event | None = None
        self._closed = False
        self._aborted = False
        self._waiting = 0
        self._offered = self._taken = self._overrun = self._lost = 0
        self._depth_max = self._depth_sum = self._accepted = 0
        self._wait_put_s = self._wait_get_s = 0.0

    def put(self, item: T) -> bool:
        """Hand `item` over. False when nobody will ever take it: stop producing.

        On a closed channel it is refused and counted nowhere; on an aborted one it counts as offered
        and aborted. A put that was waiting for room when the channel was closed still succeeds.
        """
        with self._lock:
            if self._closed:
                return False
            self._offered += 1
            if len(self._items) >= self.capacity and not self._aborted:
                self._make_room()
            if self._aborted:
                self._lost += 1
                return False
            self._items.append(item)
            self._note_depth()
        self._ring()
        return True

    def _make_room(self) -> None:
        """By the policy; the lock is held. Returns early when the channel is aborted."""
        if self.policy == "drop_oldest":
            self._items.popleft()
            self._overrun += 1
            return
        began = time.perf_counter()
        self._waiting += 1
        while len(self._items) >= self.capacity and not self._aborted:
            self._room.wait()
        self._waiting -= 1
        self._wait_put_s += time.perf_counter() - began

    def _note_depth(self) -> None:
        depth = len(self._items)
        self._accepted += 1
        self._depth_sum += depth
        self._depth_max = max(self._depth_max, depth)

    def close(self) -> None:
        """No new items; what is inside, or waiting for room, can still be taken. Idempotent."""
        with self._lock:
            self._closed = True
        self._ring()

    def abort(self) -> None:
        """Drop what is inside and wake everyone: puts and readers return at once. Idempotent."""
        with self._lock:
            self._aborted = True
            self._lost += len(self._items)
            self._items.clear()
            self._room.notify_all()
        self._ring()

    @property
    def has_reader(self) -> bool:
        return self._bell is not None

    @property
    def accepting(self) -> bool:
        """Neither closed nor aborted."""
        with self._lock:
            return not (self._closed or self._aborted)

    @property
    def aborted(self) -> bool:
        with self._lock:
            return self._aborted

    @property
    def ended(self) -> bool:
        """True once no item will come out any more; stays true."""
        with self._lock:
            return self._aborted or (self._closed and not self._items and not self._waiting)

    def stats(self) -> ChannelStats:
        with self._lock:
            return ChannelStats(
                capacity=self.capacity,
                offered=self._offered,
                taken=self._taken,
                overrun=self._overrun,
                aborted=self._lost,
                depth=len(self._items),
                waiting=self._waiting,
                depth_max=self._depth_max,
                depth_mean=self._depth_sum / self._accepted if self._accepted else 0.0,
                wait_put_s=self._wait_put_s,
                wait_get_s=self._wait_get_s,
            )

    def _ring(self) -> None:
        # Outside the lock: a reader woken inside would only run into it.
        bell = self._bell
        if bell is not None:
            bell.set()

    def _attach(self, bell: threading.Event) -> None:
        with self._lock:
            if self._bell is not None:
                raise ValueError(f"channel {self.name!r} already has a reader")
            self._bell = bell

    def _pop(self, into: list[T]) -> bool:
        """Move the oldest item to the end of `into`; False when there is none."""
        with self._lock:
            if not self._items:
                return False
            into.append(self._items.popleft())
            self._taken += 1
            if self._waiting:
                self._room.notify()
            return True

    def _note_wait(self, seconds: float) -> None:
        with self._lock:
            self._wait_get_s += seconds


class Reader(Generic[T]):
    """The only reader of one or several channels; fair, so that a fast one cannot starve a slow one."""

    def __init__(self, channels: Sequence[Channel[T]], batch: int = 1) -> None:
        if not channels:
            raise ValueError("a reader needs at least one channel")
        if batch < 1:
            raise ValueError(f"batch is {batch}, must be at least 1")
        self.channels = tuple(channels)
        self.batch = batch
        self._turn = 0
        self._bell = threading.Event()
        for channel in self.channels:
            channel._attach(self._bell)

    def take(self) -> list[T]:
        """Wait until a channel has an item; up to `batch` of what is there, one per channel and round.

        Does not wait for a batch to fill. The empty list means the end: every channel is closed and
        drained, or aborted.
        """
        while True:
            # Cleared before looking: whatever arrives after the look rings again.
            self._bell.clear()
            items = self._sweep()
            if items or all(channel.ended for channel in self.channels):
                return items
            began = time.perf_counter()
            self._bell.wait()
            waited = time.perf_counter() - began
            for channel in self.channels:
                channel._note_wait(waited)

    def _sweep(self) -> list[T]:
        items: list[T] = []
        empty_in_a_row = 0
        while len(items) < self.batch and empty_in_a_row < len(self.channels):
            got = self.channels[self._turn]._pop(items)
            empty_in_a_row = 0 if got else empty_in_a_row + 1
            self._turn = (self._turn + 1) % len(self.channels)
        return items

    @property
    def aborted(self) -> bool:
        """True when items may have been lost on the way: the end came by an abort."""
        return any(channel.aborted for channel in self.channels)
