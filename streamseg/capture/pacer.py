"""Giving out in time what comes in lumps: the segments of HLS."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pacer"]

_SPEED = 1.25
"""Faster than the stream itself: what fetching a segment took is made up for, and the newest segment is
reached again; there the wait for the next one sets the pace."""
_LEAP_SECONDS = 2.0
"""A step of the timestamps beyond it is another clock, not a pause."""
_NAP_SECONDS = 0.05


class Pacer:
    """Holds each picture back until its time has come, counted from the one before.

    A segment of two seconds arrives at once; where the newest frame wins, all but one of its sixty would be
    dropped.
    """

    def __init__(
        self,
        interrupted: Callable[[], bool],
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interrupted = interrupted
        self._now_s = now_s
        self._sleep = sleep
        self._last: tuple[float, float] | None = None
        """When the last one was due, and its timestamp."""

    def wait(self, stamp: float) -> None:
        """Until the picture with this timestamp, in seconds, is due."""
        now = due = self._now_s()
        if self._last is not None:
            step = stamp - self._last[1]
            if 0 < step < _LEAP_SECONDS:
                due = max(self._last[0] + step / _SPEED, now - _LEAP_SECONDS)
        while (left := due - self._now_s()) > 0 and not self._interrupted():
            self._sleep(min(left, _NAP_SECONDS))
        self._last = max(due, now), stamp
