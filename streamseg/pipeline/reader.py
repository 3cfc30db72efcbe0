"""The fair reader that merges channels, which may come and go. Tested in tests/pipeline/test_channel.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Generic, TypeVar

from streamseg.pipeline.channel import Channel
from streamseg.pipeline.gathering import Gathering

__all__ = ["Reader"]

T = TypeVar("T")


class Reader(Generic[T]):
    """The only reader of its channels; fair, so that a fast one cannot starve a slow one.

    With `stays_open` it may begin without a channel and does not end before `seal`.
    """

    def __init__(
        self,
        channels: Sequence[Channel[T]] = (),
        batch: int = 1,
        *,
        stays_open: bool = False,
        window_s: float = 0.0,
    ) -> None:
        """`window_s`: how long it may wait for a batch to fill; see `Gathering`."""
        if batch < 1:
            raise ValueError(f"batch is {batch}, must be at least 1")
        self.batch = batch
        self._channels: tuple[Channel[T], ...] = ()
        self._stays_open = stays_open
        self._over = self._aborted = False
        self._turn = -1
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._gathering = Gathering(window_s) if window_s and batch > 1 else None
        for channel in channels:
            self.attach(channel)

    def attach(self, channel: Channel[T]) -> None:
        """Read `channel` as well. Raises RuntimeError when the end has been reported already."""
        with self._lock:
            if self._over:
                raise RuntimeError(f"channel {channel.name!r}: its reader has ended")
            channel._attach(self._bell)
            self._channels = (*self._channels, channel)
        self._bell.set()

    def leave(self, channel: Channel[T]) -> None:
        """Forget `channel`."""
        with self._lock:
            self._aborted |= channel.aborted
            self._channels = tuple(other for other in self._channels if other is not channel)
        self._bell.set()

    def seal(self) -> None:
        """End when every channel has ended, also where it was to stay open."""
        with self._lock:
            self._stays_open = False
        self._bell.set()

    def take(self) -> list[T]:
        """Wait until a channel has an item; up to `batch` of what is there, one per channel and round.

        Waits for a batch to fill as long as `window_s` lets it. The empty list means the end: every channel
        is closed and drained, or aborted.
        """
        while True:
            # Cleared before looking: whatever arrives after the look rings again.
            self.listen()
            left_s = self.gathering_s()
            items = [] if left_s else self.sweep()
            if items or self.at_end():
                return items
            self.wait(left_s)

    # -- the same in steps, for a reader that has more to do than take -----------------------------

    def listen(self) -> None:
        """From now on anything new ends the next `wait`."""
        self._bell.clear()

    def gathering_s(self) -> float:
        """How long to wait for more before the next `sweep`; 0: not at all."""
        if self._gathering is None:
            return 0.0
        inflows = [channel._inflow() for channel in self._channels if not channel.ended]
        return self._gathering.left_s(inflows, self.batch)

    def sweep(self) -> list[T]:
        """What `take` would give, at once; empty when nothing can be taken."""
        channels = self._channels
        items: list[T] = []
        empty_in_a_row = 0
        while len(items) < self.batch and empty_in_a_row < len(channels):
            self._turn = (self._turn + 1) % len(channels)
            channel = channels[self._turn]
            got = not channel.held_back and channel._pop(items)
            empty_in_a_row = 0 if got else empty_in_a_row + 1
        if items and self._gathering:
            self._gathering.taken()
        return items

    def passed(self) -> list[str]:
        """Sources whose end lies behind everything taken, each once per channel."""
        return [source for channel in self._channels for source in channel._pass_ends()]

    def at_end(self) -> bool:
        """Whether nothing will ever come; once True no channel can be attached any more."""
        with self._lock:
            self._over = not self._stays_open and all(channel.ended for channel in self._channels)
            return self._over

    def wait(self, at_most_s: float = 0.0) -> None:
        """Until something has happened since `listen`, or so long has passed; 0: without limit."""
        began = time.perf_counter()
        self._bell.wait(at_most_s or None)
        waited = time.perf_counter() - began
        for channel in self._channels:
            channel._note_wait(waited)

    @property
    def stays_open(self) -> bool:
        return self._stays_open

    @property
    def aborted(self) -> bool:
        """True when items may have been lost on the way: the end came by an abort."""
        return self._aborted or any(channel.aborted for channel in self._channels)
