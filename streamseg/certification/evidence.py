"""Whether a count of mistakes says something of an engine, or only of chance."""

from __future__ import annotations

from typing import Literal

from scipy.special import bdtrc, pdtrc

__all__ = ["Finding", "footage_needed", "more_often_than_not", "weigh"]

Finding = Literal["fine", "fault", "open"]

CHANCE = 0.05
"""What an engine exactly at its limit shows more seldom than this is held against it."""
LEAST = 1.0
"""Mistakes that are always expected: so no verdict hangs on fewer than four."""
RARE = 0.01
"""For pictures: several are tried, and the finding accuses the engine of one special mistake."""
MOST_FOOTAGE = 50
"""Times as much footage as there was that it makes sense to ask for."""


def weigh(count: int, allowed: float) -> Finding:
    """What `count` mistakes say where `allowed` of them may happen.

    `fine`: not more, and not with one more either. `fault`: so many happen to an engine that makes `allowed`
    on average less than once in twenty times (Poisson), and there are at least four. `open`: neither.
    """
    if count + 1 <= allowed:
        return "fine"
    if count > allowed and pdtrc(count - 1, max(LEAST, allowed)) < CHANCE:
        return "fault"
    return "open"


def footage_needed(count: int, allowed: float) -> float | None:
    """How many times as much footage would settle what is open, mistakes and instances coming as they did;
    None where even fifty times would not."""
    factor = 1.0
    while weigh(round(count * factor), allowed * factor) == "open":
        factor *= 1.1
        if factor > MOST_FOOTAGE:
            return None
    return factor


def more_often_than_not(times: int, of: int) -> bool:
    """Whether something happened in so many of the cases that it is no toss of a coin (sign test, 1 %)."""
    return bool(of) and times > 0 and float(bdtrc(times - 1, of, 0.5)) < RARE
