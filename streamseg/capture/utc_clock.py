"""When a frame was captured, by the clocks of the world: the sender's where it tells, else this machine's."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamseg.structures import UtcSource

__all__ = ["UtcClock"]

_JUMP_NS = 1_000_000_000
_BELIEVABLE_NS = 60_000_000_000
"""A sender that far from this machine's clock has no clock: many cameras begin in 1970."""


class UtcClock:
    """UTC of one source's frames, in nanoseconds since 1970; never falls, whatever the clocks do.

    Until the sender has told its time, that of arrival counts; from then on the sender's, so that at this
    one moment time stands still for as long as frames take to arrive. When this machine's clock is set
    forward, arrival follows; when it is set back, arrival goes on as if it had not been.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._wall_minus_monotonic = wall_ns() - monotonic_ns()
        self._last_ns = 0

    def of(self, captured_ns: int, told_ns: int | None, told_by: UtcSource = "prft") -> tuple[int, UtcSource]:
        """Of a frame that left the decoder at `captured_ns` (monotonic); `told_ns`: what its sender says."""
        ahead = self._wall_ns() - self._monotonic_ns() - self._wall_minus_monotonic
        if ahead > _JUMP_NS:
            self._wall_minus_monotonic += ahead
        arrived = captured_ns + self._wall_minus_monotonic
        believed = told_ns is not None and abs(told_ns - arrived) < _BELIEVABLE_NS
        utc_ns = told_ns if believed and told_ns is not None else arrived
        self._last_ns = max(utc_ns, self._last_ns + 1)
        return self._last_ns, told_by if believed else "arrival"
