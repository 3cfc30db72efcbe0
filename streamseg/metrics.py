"""Counters, rates and quantiles that cost about a microsecond an item.

Each object is written by one thread and may be read by any other: a reading taken meanwhile may be
one item old, never torn. Times are seconds of `time.perf_counter`.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from itertools import accumulate

__all__ = ["Counter", "LatencyQuantiles", "Rate", "RecentQuantiles", "StageMetrics"]


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, count: int = 1) -> None:
        self.value += count


_LOW_S = 1e-6
_HIGH_S = 1e3
_GROWTH = 1.02
_PER_E = 1.0 / math.log(_GROWTH)
_BINS = math.ceil(math.log(_HIGH_S / _LOW_S) * _PER_E)


def _bin(seconds: float) -> int:
    return min(int(math.log(seconds / _LOW_S) * _PER_E), _BINS - 1) if seconds > _LOW_S else 0


def _middle_s(bin_index: int) -> float:
    middle: float = _LOW_S * _GROWTH ** (bin_index + 0.5)
    return middle


class LatencyQuantiles:
    """Quantiles of durations from a histogram with log-spaced bins: 8 KB, however long it runs.

    Not exact: between a microsecond and 1000 s a quantile is within 1 % of the true nearest-rank value,
    as each bin is 2 % wide and answers with its geometric middle. Beyond that range it answers with the
    nearest bin, limited to the smallest and largest value seen. Count, total, minimum and maximum
    are exact.
    """

    __slots__ = ("_bins", "max_s", "min_s", "total_s")

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self.total_s = 0.0
        self.min_s = math.inf
        self.max_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one (clocks compared across threads) counts as 0."""
        seconds = max(seconds, 0.0)
        self._bins[_bin(seconds)] += 1
        self.total_s += seconds
        self.min_s = min(self.min_s, seconds)
        self.max_s = max(self.max_s, seconds)

    @classmethod
    def merged(cls, parts: Iterable[LatencyQuantiles]) -> LatencyQuantiles:
        """All durations of `parts` together."""
        whole = cls()
        for part in parts:
            whole._bins = [a + b for a, b in zip(whole._bins, part._bins, strict=True)]
            whole.total_s += part.total_s
            whole.min_s = min(whole.min_s, part.min_s)
            whole.max_s = max(whole.max_s, part.max_s)
        return whole

    @property
    def count(self) -> int:
        return sum(self._bins)

    def quantile(self, q: float) -> float:
        """Seconds that a share `q` (0…1) of the durations does not exceed; 0 when there are none."""
        return self._quantiles((q,))[1][0]

    def _quantiles(self, qs: Iterable[float]) -> tuple[int, list[float]]:
        """The count, and seconds for each of `qs`."""
        reached = list(accumulate(self._bins.copy()))
        count = reached[-1]
        if not count:
            return 0, [0.0 for _ in qs]
        bins = (bisect_left(reached, max(1, math.ceil(q * count))) for q in qs)
        return count, [min(max(_middle_s(index), self.min_s), self.max_s) for index in bins]

    def snapshot(self) -> dict[str, float]:
        """Count, and mean, p50, p95, p99 and maximum in milliseconds."""
        count, (p50, p95, p99) = self._quantiles((0.50, 0.95, 0.99))
        return {
            "count": count,
            "mean_ms": 1e3 * self.total_s / count if count else 0.0,
            "p50_ms": 1e3 * p50,
            "p95_ms": 1e3 * p95,
            "p99_ms": 1e3 * p99,
            "max_ms": 1e3 * self.max_s,
        }


class RecentQuantiles:
    """Quantiles of the durations of the last `seconds`, with the bins of `LatencyQuantiles`.

    The window moves in `STEPS` steps, so a duration counts for between (1 - 1 / STEPS) × `seconds` and
    `seconds`. Holds at most STEPS × 1047 counts, in practice a few dozen for each step.
    """

    STEPS = 10

    __slots__ = ("_step_s", "_steps")

    def __init__(self, seconds: float = 10.0) -> None:
        self._step_s = seconds / self.STEPS
        self._steps: deque[tuple[int, dict[int, int]]] = deque(maxlen=self.STEPS)
        """Number of the step on the clock, and durations by bin."""

    def add(self, seconds: float, now: float | None = None) -> None:
        """Count one duration, at `now`; a negative one counts as 0."""
        step = int((time.perf_counter() if now is None else now) / self._step_s)
        if not self._steps or self._steps[-1][0] != step:
            self._steps.append((step, {}))
        counts = self._steps[-1][1]
        index = _bin(seconds)
        counts[index] = counts.get(index, 0) + 1

    @classmethod
    def merged(cls, parts: Iterable[RecentQuantiles]) -> RecentQuantiles:
        """The durations of `parts`, which have windows of one length, together."""
        whole = cls()
        steps: dict[int, dict[int, int]] = {}
        for part in parts:
            whole._step_s = part._step_s
            for number, counts in list(part._steps):
                step = steps.setdefault(number, {})
                for index, count in counts.copy().items():
                    step[index] = step.get(index, 0) + count
        whole._steps.extend(sorted(steps.items()))
        return whole

    def quantile(self, q: float, now: float | None = None) -> float:
        """Seconds that a share `q` (0…1) of the recent durations does not exceed; 0 when there are none."""
        return self._quantiles((q,), now)[1][0]

    def _quantiles(self, qs: Iterable[float], now: float | None) -> tuple[int, list[float]]:
        step = int((time.perf_counter() if now is None else now) / self._step_s)
        counts: dict[int, int] = {}
        for number, of_step in list(self._steps):
            if number > step - self.STEPS:
                for index, count in of_step.copy().items():
                    counts[index] = counts.get(index, 0) + count
        bins = sorted(counts)
        reached = list(accumulate(counts[index] for index in bins))
        if not reached:
            return 0, [0.0 for _ in qs]
        ranks = (max(1, math.ceil(q * reached[-1])) for q in qs)
        return reached[-1], [_middle_s(bins[bisect_left(reached, rank)]) for rank in ranks]

    def snapshot(self, now: float | None = None) -> dict[str, float]:
        """Count, and p50, p95 and p99 in milliseconds, of the recent durations."""
        count, (p50, p95, p99) = self._quantiles((0.50, 0.95, 0.99), now)
        return {"count": count, "p50_ms": 1e3 * p50, "p95_ms": 1e3 * p95, "p99_ms": 1e3 * p99}


class Rate:
    """Items per second: N ticks span N − 1 intervals, so the first tick only starts the clock."""

    _RECENT_TICKS = 64

    __slots__ = ("_first", "_recent")

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._recent: deque[tuple[float, int]] = deque(maxlen=self._RECENT_TICKS)

    def tick(self, count: int = 1, now: float | None = None) -> None:
        """`count` items arrived together."""
        now = time.perf_counter() if now is None else now
        total = count + (self._recent[-1][1] if self._recent else 0)
        self._recent.append((now, total))
        if self._first is None:
            self._first = now, total

    @property
    def per_second(self) -> float:
        """From the first tick to the last; 0 before the second."""
        ticks = list(self._recent)
        return _slope(self._first, ticks[-1]) if self._first and ticks else 0.0

    def recent_per_second(self, now: float | None = None) -> float:
        """Over the last 64 ticks; falls towards 0 while nothing arrives."""
        ticks = list(self._recent)
        if len(ticks) < 2:
            return 0.0
        now = time.perf_counter() if now is None else now
        arrived = ticks[-1][1] - ticks[0][1]
        # One tick more is due by `now`: without it the rate would sag between two ticks.
        silence = now - ticks[-1][0]
        typical = (ticks[-1][0] - ticks[0][0]) / (len(ticks) - 1)
        return _slope(ticks[0], ticks[-1]) if silence <= typical else arrived / (now - ticks[0][0] - typical)


def _slope(first: tuple[float, int], last: tuple[float, int]) -> float:
    seconds = last[0] - first[0]
    return (last[1] - first[1]) / seconds if seconds > 0 else 0.0


class StageMetrics:
    """What one stage has done with its time. It is always working, waiting for items or for room."""

    __slots__ = ("items_in", "items_out", "rate", "wait_in_s", "wait_out_s", "work")

    def __init__(self) -> None:
        self.items_in = Counter()
        self.items_out = Counter()
        self.work = LatencyQuantiles()
        """One duration for each batch (for a source: each item), without the waiting."""
        self.wait_in_s = 0.0
        """Seconds spent waiting for items: high when something before it is the bottleneck."""
        self.wait_out_s = 0.0
        """Seconds spent handing items over: high when something behind it is the bottleneck."""
        self.rate = Rate()

    def snapshot(self) -> dict[str, object]:
        """Plain numbers, ready for JSON."""
        return {
            "items_in": self.items_in.value,
            "items_out": self.items_out.value,
            "per_second": self.rate.per_second,
            "recent_per_second": self.rate.recent_per_second(),
            "work_s": self.work.total_s,
            "wait_in_s": self.wait_in_s,
            "wait_out_s": self.wait_out_s,
            "work": self.work.snapshot(),
        }
