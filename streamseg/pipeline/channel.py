"""Bounded, closable hand-over of items from one producer to one reader."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

from streamseg.pipeline.gathering import Inflow

__all__ = ["Channel", "ChannelStats", "LossCause", "Policy"]

T = TypeVar("T")
Policy = Literal["block", "drop_oldest"]
LossCause = Literal["abort", "error", "removed"]


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """One consistent reading: `offered == taken + overrun + aborted + depth + waiting`."""

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
    makes room and is counted. No end marker travels inside: `close` and `abort` are states, and the end of
    one source among several (`end_of`) is a position.

    A channel may hold others back (`hold_back`): while it is full their reader takes nothing from them,
    and in exchange a put never waits, whatever the capacity, as only what was on its way can still come.
    """

    def __init__(self, name: str, capacity: int, policy: Policy = "block") -> None:
        if capacity < 1:
            raise ValueError(f"channel {name!r}: capacity is {capacity}, must be at least 1")
        if policy not in get_args(Policy):
            raise ValueError(f"channel {name!r}: policy is {policy!r}, must be one of {get_args(Policy)}")
        self.name = name
        self.capacity = capacity
        self.policy = policy
        self.loss_cause: LossCause = "abort"
        """Why it was aborted, if it was."""
        self.over: set[str] = set()
        """Sources whose last item its reader has dealt with."""
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._bell: threading.Event | None = None
        self._held: tuple[Channel[T], ...] = ()
        self._holders: tuple[Channel[T], ...] = ()
        self._never_waits = False
        self._ends: deque[tuple[int, str]] = deque()
        self._closed = False
        self._aborted = False
        self._waiting = 0
        self._offered = self._taken = self._overrun = self._lost = 0
        self._last_s = -math.inf
        self._depth_max = self._depth_sum = self._accepted = 0
        self._wait_put_s = self._wait_get_s = 0.0

    # -- the producer's end ------------------------------------------------------------------------

    def put(self, item: T) -> bool:
        """Hand `item` over. False when nobody will ever take it: stop producing.

        On a closed channel it is refused and counted nowhere; on an aborted one it counts as offered
        and aborted. A put that was waiting for room when the channel was closed goes in at once.
        """
        return self.offer(item) and not self._aborted

    def offer(self, item: T) -> bool:
        """As `put`; False only when the item was refused, so that it is counted nowhere."""
        with self._lock:
            if self._closed:
                return False
            self._offered += 1
            self._last_s = time.monotonic()
            if len(self._items) >= self.capacity and not self._aborted:
                self._make_room()
            if self._aborted:
                self._lost += 1
                return True
            self._items.append(item)
            self._note_depth()
        self._ring()
        return True

    def _make_room(self) -> None:
        """By the policy; the lock is held. Returns early when nobody needs to wait any more."""
        if self.policy == "drop_oldest":
            self._items.popleft()
            self._overrun += 1
            return
        began = time.perf_counter()
        self._waiting += 1
        while len(self._items) >= self.capacity and not (self._aborted or self._closed or self._never_waits):
            self._room.wait()
        self._waiting -= 1
        self._wait_put_s += time.perf_counter() - began

    def _note_depth(self) -> None:
        depth = len(self._items)
        self._accepted += 1
        self._depth_sum += depth
        self._depth_max = max(self._depth_max, depth)

    def end_of(self, source: str) -> None:
        """No more items of `source` will come; the reader learns it behind what is inside."""
        with self._lock:
            if not self._closed:
                self._ends.append((self._offered, source))
        self._ring()

    def close(self) -> None:
        """No new items; what is inside, or waiting for room, can still be taken. Idempotent."""
        with self._lock:
            self._closed = True
            self._room.notify_all()
        self._ring()

    def abort(self, cause: LossCause = "abort") -> None:
        """Drop what is inside and wake everyone: puts and readers return at once. Idempotent."""
        with self._lock:
            if not self._aborted:
                self.loss_cause = cause
            self._aborted = True
            self._lost += len(self._items)
            self._items.clear()
            self._room.notify_all()
        self._ring()
        self._ring_held()

    # -- what others may ask -----------------------------------------------------------------------

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
        """Aborted, and not just because its producer was removed."""
        with self._lock:
            return self._aborted and self.loss_cause != "removed"

    @property
    def ended(self) -> bool:
        """True once no item will come out any more; stays true."""
        with self._lock:
            return self._aborted or (self._closed and not self._items and not self._waiting)

    @property
    def final(self) -> bool:
        """Closed and empty: no number will change any more."""
        with self._lock:
            return self._closed and not self._items and not self._waiting

    @property
    def unheard(self) -> bool:
        """Whether the reader has an `end_of` still to hear."""
        return bool(self._ends)

    @property
    def full(self) -> bool:
        return len(self._items) >= self.capacity

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

    # -- holding others back -----------------------------------------------------------------------

    def hold_back(self, others: Sequence[Channel[T]]) -> None:
        """From now on nothing is taken from `others` while this channel is full."""
        with self._lock:
            before, self._held = self._held, tuple(others)
            self._never_waits |= bool(others)
            self._room.notify_all()
        for other in {*before, *others}:
            other._holders = tuple(h for h in other._holders if h is not self)
            if other in others:
                other._holders = (*other._holders, self)
            other._ring()

    @property
    def held_back(self) -> bool:
        return any(holder.full for holder in self._holders)

    def _ring_held(self) -> None:
        for other in self._held:
            other._ring()

    # -- the reader's end --------------------------------------------------------------------------

    def _ring(self) -> None:
        # Outside the lock: a reader woken inside would only run into it.
        bell = self._bell
        if bell is not None:
            bell.set()

    def _inflow(self) -> Inflow:
        waiting = 0 if self.held_back else len(self._items)
        return Inflow(self.name, waiting, self._offered, self._last_s)

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
        if self._held:
            self._ring_held()
        return True

    def _pass_ends(self) -> list[str]:
        """Sources that ended behind the last item taken; they are in `over` from now on."""
        if not self._ends:
            return []
        with self._lock:
            gone = self._taken + self._overrun + self._lost
            passed = []
            while self._ends and (self._ends[0][0] <= gone or self._aborted):
                passed.append(self._ends.popleft()[1])
        self.over.update(passed)
        return passed

    def _note_wait(self, seconds: float) -> None:
        with self._lock:
            self._wait_get_s += seconds
