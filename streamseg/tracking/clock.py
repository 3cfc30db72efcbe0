"""The time between frames, from their timestamps."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["StepClock"]

_REMEMBERED_STEPS = 31
_MAX_PACE_SECONDS = 0.1


class StepClock:
    """Turns timestamps into steps and knows the usual one."""

    def __init__(self, nominal_seconds: float | None = None) -> None:
        """With `nominal_seconds` the usual step is that; otherwise it is estimated."""
        self._fixed = nominal_seconds
        self.recent: deque[float] = deque(maxlen=_REMEMBERED_STEPS)
        """The last steps, seconds; none where the usual one is configured."""
        self.now = self.previous = -math.inf
        """Timestamps of the last frame accepted and of the one before, seconds; minus infinity until
        there are any."""
        self.nominal_seconds = nominal_seconds if nominal_seconds is not None else 1 / 30
        """The usual step: as configured, or the lower fifth of the recent ones. Steps are whole numbers of
        the source's own step, so that the smaller ones show it even where every other frame is dropped.
        1/30 s until two frames have been seen."""

    @property
    def step(self) -> float:
        """Seconds between the last two frames; infinite for the first."""
        return self.now - self.previous if self.previous > -math.inf else math.inf

    @property
    def pace_seconds(self) -> float:
        """The step by which noise and gates are scaled: the usual one, at most 0.1 s.

        Things do not move more calmly because they are looked at less often (at every third frame of
        MOT15 the bound is worth 3 HOTA where the rate is not configured, and nothing elsewhere).
        """
        return min(self.nominal_seconds, _MAX_PACE_SECONDS)

    def advance(self, t_seconds: float) -> bool:
        """Go on to `t_seconds`; False, and nothing changes, when it is not finite or lies in the past."""
        if not math.isfinite(t_seconds) or t_seconds < self.now:
            return False
        self.previous, self.now = self.now, t_seconds
        if self._fixed is None and 0 < self.step < math.inf:
            self.recent.append(self.step)
            self.nominal_seconds = sorted(self.recent)[len(self.recent) // 5]
        return True
