"""When the engine is asked for every second frame only, and when for every one again."""

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


class Ladder:
    """Two rungs: every frame goes to the engine, or every second one.

    Down when a tenth of the frames of two seconds was lost. Up when, for ten seconds on end, the engine could
    have taken every frame in 70 % of the time; that it had to be taken back within 30 s doubles the ten
    seconds, up to five minutes, so that a load on the edge does not make it swing.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.halved = False
        """Whether the engine gets every second frame only."""
        self.steps = 0
        """How often the rung was changed."""
        self._now_s = now_s
        self._hold_s = _HOLD_S
        self._changed_s = self._roomy_since_s = now_s()
        self._begin_window()

    def note(self, came: int, lost: int) -> None:
        """`came` frames were captured since the last call; of them, or earlier ones, `lost` were dropped."""
        self._came += came
        self._lost += lost
        if self._now_s() - self._window_s >= _WINDOW_S:
            self._judge()
            self._begin_window()

    def worked(self, frames: int, seconds: float) -> None:
        """The engine took so long for so many."""
        self._frames += frames
        self._busy_s += seconds

    def _begin_window(self) -> None:
        self._window_s = self._now_s()
        self._came = self._lost = self._frames = 0
        self._busy_s = 0.0

    def _judge(self) -> None:
        now = self._now_s()
        if not self.halved:
            if self._came >= _LEAST_FRAMES and self._lost > _TOO_MANY_LOST * self._came:
                relapse = self.steps > 0 and now - self._changed_s < _RELAPSE_S
                self._hold_s = min(2 * self._hold_s, _LONGEST_HOLD_S) if relapse else _HOLD_S
                self._change(now)
            return
        share = self._busy_s / max(self._frames, 1) * self._came / (now - self._window_s)
        if share >= _ROOMY or self._lost > _TOO_MANY_LOST * self._came:
            self._roomy_since_s = now
        elif now - self._roomy_since_s >= self._hold_s:
            self._change(now)

    def _change(self, now: float) -> None:
        self.halved = not self.halved
        self.steps += 1
        self._changed_s = self._roomy_since_s = now
