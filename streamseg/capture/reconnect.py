"""A live source that comes back: what cameras behind an address and webcams have in common.

Tested in tests/capture/test_live_source.py.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamseg.capture.media_clock import MediaClock
from streamseg.capture.retry import Backoff
from streamseg.capture.source import Source, SourceOptions
from streamseg.capture.utc_clock import UtcClock
from streamseg.errors import SourceError
from streamseg.source_state import SourceState, StateName
from streamseg.structures import Frame, UtcSource

__all__ = ["Picture", "ReconnectingSource"]

_NAP_SECONDS = 0.05
_DEFAULT_FPS = 25.0


class Picture(NamedTuple):
    """What a session yields."""

    image: NDArray[np.uint8]
    """(H, W, 3) uint8 BGR."""
    stamp: float | None
    """The receiver's own timestamp in seconds, if it has one."""
    utc_ns: int | None = None
    """When it was captured, by the sender's clock, if it has told; nanoseconds since 1970."""
    utc_from: UtcSource = "prft"


class ReconnectingSource(Source):
    """Frames as they come, for ever; a session that breaks is followed by another.

    The constructor waits for the first frame, and raises when it does not come; with `wait_for_source` it
    does not connect, the iteration does. Later a lost session is tried again without limit, after the pauses
    of `Backoff`. `state` tells. Media time starts at 0 and goes on through an interruption by as much as the
    clock on the wall did. The size may change.
    """

    def __init__(self, source_id: str, options: SourceOptions) -> None:
        super().__init__(source_id, live=True)
        self._options = options
        self._index = 0
        self._backoff = Backoff(options.max_backoff_s)
        self._pause_s = 0.0
        self._arrived_ns = 0
        self._state = SourceState("connecting", since_ns=time.monotonic_ns())
        self._clock: MediaClock | None = None
        self._utc_clock = UtcClock()
        self._new_session = True
        self._session = self._connect()
        self._first: Picture | None = None
        if not options.wait_for_source:
            self._first = next(self._session, None)
        if self._first is not None:
            self.size_hw = self._first.image.shape[0], self._first.image.shape[1]

    @abstractmethod
    def _connect(self) -> Iterator[Picture]:
        """One session: connect, yield pictures, end only when interrupted. Raises SourceError when it
        cannot connect or is disconnected; sets `fps` when it knows."""

    def __iter__(self) -> Iterator[Frame]:
        while not self._interrupted:
            if self._pause_s:
                if not self._slept(self._pause_s):
                    return
                self._pause_s = 0.0
                self._session = self._connect()
            try:
                while (picture := self._next()) is not None:
                    yield self._frame(picture)
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
        if was.state == "live":
            self._backoff.lived((self._arrived_ns - was.since_ns) / 1e9)
        self._pause_s = self._backoff.pause_s(error.reason)
        self._state = SourceState(name, error.reason, str(error), since_ns, was.reconnects)
        self._new_session = True

    def _slept(self, seconds: float) -> bool:
        """False when interrupted meanwhile."""
        until = time.monotonic() + seconds
        while not self._interrupted and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))
        return not self._interrupted

    def _frame(self, picture: Picture) -> Frame:
        captured_ns = time.monotonic_ns()
        if self._new_session:
            self._begin(captured_ns)
        self._arrived_ns = captured_ns
        pts_seconds = self._media_clock().seconds(picture.stamp)
        self.repaired_pts = self._media_clock().repaired
        self.size_hw = picture.image.shape[0], picture.image.shape[1]
        index, self._index = self._index, self._index + 1
        utc = self._utc_clock.of(captured_ns, picture.utc_ns, picture.utc_from)
        session = self._state.reconnects
        return Frame(picture.image, index, pts_seconds, captured_ns, self.source_id, *utc, session)

    def _begin(self, now_ns: int) -> None:
        """The first frame of a session: it is now that the source is back."""
        self._new_session = False
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
