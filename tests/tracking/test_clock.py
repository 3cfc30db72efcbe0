import math

import pytest

from streamseg.tracking.clock import StepClock


def run(clock: StepClock, times: list[float]) -> list[bool]:
    return [clock.advance(t) for t in times]


def test_steps_and_rejections() -> None:
    clock = StepClock()
    assert clock.step == math.inf
    assert run(clock, [5.0, 4.9, math.nan, math.inf, 5.0, 5.25]) == [True, False, False, False, True, True]
    assert (clock.previous, clock.now, clock.step) == (5.0, 5.25, 0.25)


def test_usual_step_survives_lost_frames_and_gaps() -> None:
    clock = StepClock()
    frames = [
        0,
        1,
        3,
        5,
        6,
        8,
        10,
        11,
        13,
        400,
        402,
        403,
        405,
    ]  # of 25 a second: more lost than not in places
    run(clock, [frame / 25 for frame in frames])
    assert clock.nominal_seconds == pytest.approx(1 / 25)


def test_follows_a_change_of_rate() -> None:
    clock = StepClock()
    run(clock, [k / 25 for k in range(100)] + [4 + k / 10 for k in range(100)])
    assert clock.nominal_seconds == pytest.approx(0.1)


def test_configured_step_stays() -> None:
    clock = StepClock(0.04)
    run(clock, [0, 1, 2, 3])
    assert clock.nominal_seconds == 0.04


def test_pace_is_bounded_for_slow_streams() -> None:
    clock = StepClock()
    run(clock, [0, 2, 4, 6])
    assert (clock.nominal_seconds, clock.pace_seconds) == (2, 0.1)


def test_repeated_time_is_no_step() -> None:
    clock = StepClock()
    run(clock, [0, 0.04, 0.04, 0.04, 0.08])
    assert clock.nominal_seconds == 0.04
