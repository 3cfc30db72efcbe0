"""Pictures that come in lumps are given out in time."""

from __future__ import annotations

import itertools

import pytest

from streamseg.capture.pacer import Pacer


class Clock:
    """Time passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_segment_that_came_at_once_is_given_out_a_little_faster_than_it_plays() -> None:
    clock = Clock()
    pacer = Pacer(lambda: False, lambda: clock.now_s, clock.sleep)
    given = []
    for k in range(50):
        pacer.wait(k / 25)
        given.append(clock.now_s)
    steps = [b - a for a, b in itertools.pairwise(given)]
    assert steps == pytest.approx([0.032] * 49)


def test_what_is_late_goes_at_once_and_a_leap_is_no_pause() -> None:
    clock = Clock()
    pacer = Pacer(lambda: False, lambda: clock.now_s, clock.sleep)
    pacer.wait(0.0)
    clock.sleep(5.0)
    for stamp in (0.04, 1000.0, 3.0):
        pacer.wait(stamp)
    assert clock.now_s == 5.0


def test_an_interrupt_ends_the_wait() -> None:
    clock = Clock()
    pacer = Pacer(lambda: clock.now_s > 0.1, lambda: clock.now_s, clock.sleep)
    pacer.wait(0.0)
    pacer.wait(1.9)
    assert clock.now_s < 0.2
