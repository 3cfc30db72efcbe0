"""Timing calls that only start work, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Job", "Timing", "interleaved"]

WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Job:
    """Work for a device."""

    start: Callable[[], object]
    """Begins it once, or does it."""
    wait: Callable[[], object]
    """Returns when all that was started is done."""


@dataclass(slots=True)
class Timing:
    """What one job took over all rounds."""

    alone_s: list[float] = field(default_factory=list)
    """Seconds from one start to its end."""
    rows_s: list[float] = field(default_factory=list)
    """Seconds for each of a row of starts that nobody waited between."""

    def latency_ms(self, quantile: float) -> float:
        """Of a start that is waited for."""
        return float(np.quantile(self.alone_s, quantile)) * 1e3

    @property
    def each_s(self) -> float:
        """Of one in a row: the median over the rounds."""
        return float(np.median(self.rows_s))


def interleaved(jobs: Mapping[str, Job], rounds: int, calls: int) -> dict[str, Timing]:
    """Let the jobs take turns: a round times `calls` of each, first waited for one by one, then in a row."""
    timings = {name: Timing() for name in jobs}
    for job in jobs.values():
        for _ in range(WARM_UP):
            job.start()
        job.wait()
    for _ in range(rounds):
        for name, job in jobs.items():
            timings[name].alone_s += [_alone(job) for _ in range(calls)]
            timings[name].rows_s.append(_in_a_row(job, calls))
    return timings


def _alone(job: Job) -> float:
    began = time.perf_counter()
    job.start()
    job.wait()
    return time.perf_counter() - began


def _in_a_row(job: Job, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        job.start()
    job.wait()
    return (time.perf_counter() - began) / calls
