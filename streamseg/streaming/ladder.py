"""What is asked of the engine when it cannot keep up, and when it is asked for more again."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Ladder"]

_WINDOW_S = 2.0
_LEAST_FRAMES = 10
_TOO_MANY_LOST = 0.1
_ROOMY = 0.7
_HOLD_S = 10.0
_LONGEST_HOLD_S = 300.0
_RELAPSE_S = 30.0
_LAST = 2


class Ladder:
    """Three rungs: every frame goes to the engine, every second one, or it works beside what is shown.

    Down when a tenth of the frames of two seconds was lost. Up when, for ten seconds on end, the engine could
    have taken what the rung above gives it in 70 % of the time, and, for the middle one, a call took no more
    than 70 % of the promised age; that it had to be taken back within 30 s doubles the ten seconds, up to
    five minutes, so that a load on the edge does not make it swing.
    """

    def __init__(self, max_age_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self.rung = 0
        """0: every frame is inferred; 1: every second one; 2: the engine works beside what is shown."""
        self.steps = 0
        """How often the rung was changed."""
        self._max_age_s = max_age_s
        self._now_s = now_s
        self._hold_s = _HOLD_S
        self._raised_s: float | None = None
        self._roomy_since_s = now_s()
        self._begin_window()

    def note(self, came: int, lost: int) -> None:
        """`came` frames were captured since the last call; of them, or earlier ones, `lost` were dropped."""
        self._came += came
        self._lost += lost
        if self._now_s() - self._window_s >= _WINDOW_S:
            self._judge()
            self._begin_window()

    def worked(self, frames: int, seconds: float) -> None:
        """A call of the engine took so long for so many."""
        self._calls += 1
        self._frames += frames
        self._busy_s += seconds

    def _begin_window(self) -> None:
        self._window_s = self._now_s()
        self._came = self._lost = self._frames = self._calls = 0
        self._busy_s = 0.0

    def _judge(self) -> None:
        now = self._now_s()
        losing = self._came >= _LEAST_FRAMES and self._lost > _TOO_MANY_LOST * self._came
        if losing and self.rung < _LAST:
            relapse = self._raised_s is not None and now - self._raised_s < _RELAPSE_S
            if relapse:
                self._hold_s = min(2 * self._hold_s, _LONGEST_HOLD_S)
            elif self.rung == 0:
                self._hold_s = _HOLD_S
            self._change(1, now)
        elif self.rung and not self._has_room(now):
            self._roomy_since_s = now
        elif self.rung and now - self._roomy_since_s >= self._hold_s:
            self._raised_s = now
            self._change(-1, now)

    def _has_room(self, now: float) -> bool:
        """For what the rung above asks."""
        share = self._busy_s / max(self._frames, 1) * self._came / (now - self._window_s)
        if self.rung == 1:
            return share < _ROOMY and self._lost <= _TOO_MANY_LOST * self._came
        call_s = self._busy_s / max(self._calls, 1)
        return share / 2 < _ROOMY and call_s < _ROOMY * self._max_age_s

    def _change(self, by: int, now: float) -> None:
        self.rung += by
        self.steps += 1
        self._roomy_since_s = now
