"""The time between frames, from their timestamps."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

__all__ = ["StepClock"]

_REMEMBERED_STEPS = 31


class StepClock:
    """Turns timestamps into steps and knows the usual one."""

    def __init__(self, nominal_seconds: float | None = None) -> None:
        self._fixed = nominal_seconds
        self._recent: deque[float] = deque(maxlen=_REMEMBERED_STEPS)
        self.now = -math.inf
        """Timestamp of the last frame accepted, seconds; minus infinity before the first."""
        self.nominal_seconds = nominal_seconds if nominal_seconds is not None else 1 / 30
        """The usual step: as configured, or the median of the recent ones, which dropped frames and
        single gaps do not move; 1/30 s until two frames have been seen."""

    def advance(self, t_seconds: float) -> float | None:
        """Seconds since the frame before, infinite for the first; None, and nothing changes, when
        `t_seconds` is not finite or lies in the past."""
        if not math.isfinite(t_seconds) or t_seconds < self.now:
            return None
        step = t_seconds - self.now
        self.now = t_seconds
        if self._fixed is None and 0 < step < math.inf:
            self._recent.append(step)
            self.nominal_seconds = median(self._recent)
        return step
