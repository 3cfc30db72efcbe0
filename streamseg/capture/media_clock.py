"""Media time that never stands still or runs backwards."""

from __future__ import annotations

__all__ = ["MediaClock"]

_TICK_SECONDS = 1e-3
_RESTART_SECONDS = 1.0


class MediaClock:
    """Turns the timestamps of a container or receiver into strictly increasing seconds.

    True timestamps pass unchanged. One that is missing becomes the last plus `interval_seconds`, one
    that does not increase the last plus a millisecond; both count in `repaired`. A jump back by more
    than a second is a clock that started again (spliced transport streams): from there on everything
    is shifted so that time goes on, which counts once.
    """

    def __init__(self, interval_seconds: float) -> None:
        self.repaired = 0
        self._interval = interval_seconds
        self._last: float | None = None
        self._shift: float | None = 0.0
        self._resume_at = 0.0

    def restart(self, elapsed_seconds: float) -> None:
        """The next timestamp is of a new clock, and is to be `elapsed_seconds` after the last one."""
        self._shift = None
        if self._last is not None:
            self._resume_at = self._last + max(elapsed_seconds, _TICK_SECONDS)
        else:
            self._resume_at = 0.0

    def seconds(self, stamp: float | None) -> float:
        """The media time of the next frame, whose own timestamp is `stamp` (None: it has none)."""
        if stamp is None:
            now = self._made_up()
        else:
            if self._shift is None:
                self._shift = self._resume_at - stamp
            now = self._repair(stamp + self._shift)
        self._last = now
        return now

    def _made_up(self) -> float:
        self.repaired += 1
        if self._shift is None:  # after a restart; the first timestamp of the new clock is yet to come
            now, self._resume_at = self._resume_at, self._resume_at + self._interval
            return now
        return 0.0 if self._last is None else self._last + self._interval

    def _repair(self, now: float) -> float:
        if self._last is None or now > self._last:
            return now
        self.repaired += 1
        if now < self._last - _RESTART_SECONDS:
            resumed = self._last + self._interval
            self._shift = (self._shift or 0.0) + resumed - now
            return resumed
        return self._last + _TICK_SECONDS
