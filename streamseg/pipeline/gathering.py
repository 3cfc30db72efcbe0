"""How long a reader may wait for a batch to fill."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["SILENT_S", "Gathering", "Inflow"]

SILENT_S = 2.0
"""An input that brought nothing for so long is not waited for."""
_SPAN_S = 2.0
_LEAST_SPAN_S = 0.25


@dataclass(frozen=True, slots=True)
class Inflow:
    """What is known of one input now."""

    name: str
    waiting: int
    """Items inside."""
    offered: int
    """Items that have come, ever."""
    last_s: float
    """When the last came, on the reader's clock."""


class Gathering:
    """Waits at most `window_s` from the first waiting item, and never longer than the busiest input takes for
    one: what that brings meanwhile would only replace what it has. Rates are counts over two seconds, so that
    bursts do not matter. No input is waited for that has something, or has been silent for 2 s.
    """

    def __init__(self, window_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self.window_s = window_s
        self._now_s = now_s
        self._since_s: float | None = None
        """When something began to wait."""
        self._counts: dict[str, deque[tuple[float, int]]] = {}

    def left_s(self, inflows: Sequence[Inflow], batch: int) -> float:
        """How long to wait on; 0: take what is there. Nothing waits: 0, too."""
        now = self._now_s()
        waiting = sum(min(inflow.waiting, batch) for inflow in inflows)
        if not waiting:
            self._since_s = None
            return 0.0
        self._since_s = now if self._since_s is None else self._since_s
        self._count(now, inflows)
        missing = [i for i in inflows if not i.waiting and now - i.last_s < SILENT_S]
        if waiting >= batch or not missing:
            return 0.0
        return max(0.0, self._since_s + self._window(now) - now)

    def taken(self) -> None:
        """What waited has been taken."""
        self._since_s = None

    def _window(self, now: float) -> float:
        fastest = max((self._rate(counts) for counts in self._counts.values()), default=0.0)
        return min(self.window_s, 1 / fastest) if fastest else self.window_s

    def _count(self, now: float, inflows: Sequence[Inflow]) -> None:
        self._counts = {i.name: self._counts.get(i.name, deque()) for i in inflows}
        for inflow in inflows:
            counts = self._counts[inflow.name]
            if not counts or now - counts[-1][0] >= _LEAST_SPAN_S:
                counts.append((now, inflow.offered))
            while now - counts[0][0] > _SPAN_S and len(counts) > 1:
                counts.popleft()

    @staticmethod
    def _rate(counts: deque[tuple[float, int]]) -> float:
        """Items a second; 0 while the span is too short to tell."""
        (began, first), (ended, last) = counts[0], counts[-1]
        return (last - first) / (ended - began) if ended - began >= _LEAST_SPAN_S else 0.0
