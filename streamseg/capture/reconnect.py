"""A live source that comes back: what cameras behind an address and webcams have in common.

Tested in tests/capture/test_live_source.py.
"""

from __future__ import annotations

import random
import time
from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streamseg.capture.media_clock import MediaClock
from streamseg.capture.source import Source, SourceOptions
from streamseg.errors import SourceError
from streamseg.source_state import SourceState, StateName
from streamseg.structures import Frame

__all__ = ["Picture", "ReconnectingSource"]

Picture = tuple[NDArray[np.uint8], float | None]
"""(H, W, 3) uint8 BGR, and the receiver's own timestamp in seconds, if it has one."""

_FIRST_PAUSE_SECONDS = 0.25
_NAP_SECONDS = 0.05
_DEFAULT_FPS = 25.0


class ReconnectingSource(Source):
    """Frames as they come, for ever; a session that breaks is followed by another.

    The constructor waits for the first frame, and raises when it does not come (unless
    `wait_for_source`). Later a lost session is tried again without limit, after pauses that double from
    0.25 s to `max_backoff_s`, each shortened by up to a half at random so that many cameras behind one
    switch do not come back in step. `state` tells. Media time starts at 0 and goes
    on through an interruption by as much as the clock on the wall did. The size may change.
    """

    def __init__(self, source_id: str, options: SourceOptions) -> None:
        super().__init__(source_id, live=True)
        self._options = options
        self._index = 0
        self._failures = 0
        self._arrived_ns = 0
        self._state = SourceState("connecting", since_ns=time.monotonic_ns())
        self._clock: MediaClock | None = None
        self._new_session = True
        self._session = self._connect()
        self._first: Picture | None = None
        try:
            self._first = next(self._session, None)
        except SourceError as error:
            if not options.wait_for_source:
                raise
            self._lose(error)
        if self._first is not None:
            self.size_hw = self._first[0].shape[0], self._first[0].shape[1]

    @abstractmethod
    def _connect(self) -> Iterator[Picture]:
        """One session: connect, yield pictures, end only when interrupted. Raises SourceError when it
        cannot connect or is disconnected; sets `fps` when it knows."""

    def __iter__(self) -> Iterator[Frame]:
        while not self._interrupted:
            if self._failures:
                if not self._slept():
                    return
                self._session = self._connect()
            try:
                while (picture := self._next()) is not None:
                    yield self._frame(*picture)
            except SourceError as error:
                self._lose(error)

    def _next(self) -> Picture | None:
        first, self._first = self._first, None
        return next(self._session, None) if first is None else first

    @property
    def state(self) -> SourceState:
        now_ns = time.monotonic_ns()
        state = self._state  # once: another thread replaces it
        silent_s = (now_ns - self._arrived_ns) / 1e9
        if state.state != "live" or silent_s <= self._options.stall_s:
            return state
        said = f"no frame for {self._options.stall_s:g} s"
        return SourceState("stalled", "timeout", said, self._arrived_ns, state.reconnects)

    def _lose(self, error: SourceError) -> None:
        if self._interrupted:
            return
        was = self._state
        since_ns = time.monotonic_ns() if was.state == "live" else was.since_ns
        name: StateName = "reconnecting" if self._index else "connecting"
        self._state = SourceState(name, error.reason, str(error), since_ns, was.reconnects)
        self._failures += 1
        self._new_session = True

    def _slept(self) -> bool:
        """Pause before the next attempt; False when interrupted meanwhile."""
        longest = min(_FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 20), self._options.max_backoff_s)
        until = time.monotonic() + longest * random.uniform(0.5, 1.0)
        while not self._interrupted and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))
        return not self._interrupted

    def _frame(self, image: NDArray[np.uint8], stamp: float | None) -> Frame:
        captured_ns = time.monotonic_ns()
        if self._new_session:
            self._begin(captured_ns)
        self._arrived_ns = captured_ns
        pts_seconds = self._media_clock().seconds(stamp)
        self.repaired_pts = self._media_clock().repaired
        self.size_hw = image.shape[0], image.shape[1]
        index, self._index = self._index, self._index + 1
        return Frame(image, index, pts_seconds, captured_ns, self.source_id)

    def _begin(self, now_ns: int) -> None:
        """The first frame of a session: it is now that the source is back."""
        self._new_session = False
        self._failures = 0
        self._media_clock().restart((now_ns - self._arrived_ns) / 1e9)
        self._arrived_ns = now_ns
        reconnects = self._state.reconnects + (self._index > 0)
        self._state = SourceState("live", since_ns=now_ns, reconnects=reconnects)

    def counters(self) -> dict[str, int]:
        return {**super().counters(), "reconnects": self._state.reconnects}

    def _media_clock(self) -> MediaClock:
        if self._clock is None:
            self._clock = MediaClock(1 / (self.fps or _DEFAULT_FPS))
        return self._clock

    def close(self) -> None:
        self._interrupted = True
        self._first = None
        close = getattr(self._session, "close", None)
        if close is not None:
            close()
