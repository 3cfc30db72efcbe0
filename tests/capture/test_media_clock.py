"""Media time: strictly increasing, true where it can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamseg.capture.media_clock import MediaClock


def times(stamps: list[float | None], interval: float = 0.04) -> tuple[list[float], int]:
    clock = MediaClock(interval)
    return [clock.seconds(stamp) for stamp in stamps], clock.repaired


def test_true_times_pass_unchanged() -> None:
    assert times([1.4, 1.44, 1.9, 7.0]) == ([1.4, 1.44, 1.9, 7.0], 0)


def test_missing_times_follow_the_nominal_rate() -> None:
    assert times([None, None, 0.08, None]) == (pytest.approx([0, 0.04, 0.08, 0.12]), 3)


def test_repeated_times_move_on_by_a_millisecond() -> None:
    assert times([1.0, 1.0, 0.99, 1.04]) == (pytest.approx([1.0, 1.001, 1.002, 1.04]), 2)


def test_a_clock_that_starts_again_is_shifted_once() -> None:
    assert times([10.0, 10.04, 0.0, 0.04, 0.08]) == (pytest.approx([10.0, 10.04, 10.08, 10.12, 10.16]), 1)


def test_restart_goes_on_by_the_time_that_passed() -> None:
    clock = MediaClock(0.04)
    clock.restart(0)
    before = [clock.seconds(500.0), clock.seconds(500.04)]
    clock.restart(3.0)
    after = [clock.seconds(20.0), clock.seconds(20.04)]
    assert [*before, *after] == pytest.approx([0, 0.04, 3.04, 3.08])
    assert clock.repaired == 0


def test_restart_with_a_frame_without_a_timestamp_waits_for_the_new_clock() -> None:
    clock = MediaClock(0.04)
    clock.restart(0)
    before = clock.seconds(500.0)
    clock.restart(3.0)
    after = [clock.seconds(None), clock.seconds(None), clock.seconds(20.0), clock.seconds(20.04)]
    assert [before, *after] == pytest.approx([0, 3, 3.04, 3.08, 3.12])
    assert clock.repaired == 2


@given(st.lists(st.one_of(st.none(), st.floats(-10, 1e5, allow_nan=False), st.just("restart")), max_size=50))
def test_always_increases(events: list[float | str | None]) -> None:
    clock, last = MediaClock(1 / 30), None
    for event in events:
        if isinstance(event, str):
            clock.restart(0.0)
            continue
        now = clock.seconds(event)
        assert last is None or now > last
        last = now
