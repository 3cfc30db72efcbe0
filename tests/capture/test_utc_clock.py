"""UTC of frames: by the sender where it tells, and never falling."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamseg.capture.live_source import LiveSource
from streamseg.capture.utc_clock import UtcClock

S = 1_000_000_000
NOON = 1_790_000_000 * S
DAY = 86_400 * S


class Clocks:
    """Those of a machine, of which one can be set."""

    def __init__(self) -> None:
        self.monotonic = 50 * S
        self.set_by = 0

    def clock(self) -> UtcClock:
        return UtcClock(lambda: NOON + self.monotonic + self.set_by, lambda: self.monotonic)


def test_arrival_counts_until_the_sender_has_told_and_then_time_stands_still_for_the_difference() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    arrival, told = clocks.monotonic, NOON + clocks.monotonic - S // 10
    assert clock.of(arrival, None) == (NOON + arrival, "arrival")
    corrected = [clock.of(arrival + k * S // 30, told + k * S // 30) for k in range(1, 6)]
    assert {source for _, source in corrected} == {"prft"}
    expected = [1, 2, 3, S * 4 // 30 - S // 10, S * 5 // 30 - S // 10]
    assert [at - NOON - arrival for at, _ in corrected] == expected


@pytest.mark.parametrize("off", [-NOON, -61 * S, 61 * S, 365 * DAY])
def test_a_sender_without_a_clock_is_not_believed(off: int) -> None:
    clocks = Clocks()
    assert clocks.clock().of(clocks.monotonic, NOON + clocks.monotonic + off) == (
        NOON + clocks.monotonic,
        "arrival",
    )


def test_the_clock_of_this_machine_is_set_a_day_on_or_back() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    for set_by, expected in ((0, 0), (-DAY, 0), (0, 0), (DAY, DAY), (0, DAY)):
        clocks.set_by = set_by
        clocks.monotonic += S
        at, source = clock.of(clocks.monotonic, None)
        assert (at - NOON - clocks.monotonic, source) == (expected, "arrival")


SET = st.integers(-2 * DAY, 2 * DAY)
TOLD = st.none() | st.integers(-2 * S, 2 * S)
STEPS = st.tuples(st.integers(0, 3 * S), SET, TOLD)


@given(st.lists(STEPS, max_size=40))
def test_it_never_falls(steps: list[tuple[int, int, int | None]]) -> None:
    clocks = Clocks()
    clock = clocks.clock()
    last = 0
    for passed, set_by, told in steps:
        clocks.monotonic += passed
        clocks.set_by = set_by
        wall = NOON + clocks.monotonic + set_by
        at, _ = clock.of(clocks.monotonic, None if told is None else wall + told)
        assert at > last
        last = at


@pytest.mark.rtsp
@pytest.mark.slow
def test_rtsp_tells_the_senders_time_with_its_first_report(rtsp_server) -> None:
    rtsp_server.start()
    with LiveSource(rtsp_server.url, "cam") as source:
        frames = list(itertools.takewhile(lambda frame: frame.utc_from == "arrival", source))
        told = list(itertools.islice(source, 30))
    assert frames
    assert {frame.utc_from for frame in told} == {"prft"}
    # The server's clock is ours, and a frame takes a while to arrive: 50 to 120 ms measured.
    away = [(frames[0].utc_ns + frame.captured_ns - frames[0].captured_ns) - frame.utc_ns for frame in told]
    assert min(away) > -0.2 * S
    assert max(away) < 20 * S
    assert all(later.utc_ns > earlier.utc_ns for earlier, later in itertools.pairwise([*frames, *told]))
