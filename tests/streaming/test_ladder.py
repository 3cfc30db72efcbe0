"""Down when too much is lost, up when there is room for long, and no swinging."""

from __future__ import annotations

import pytest

from streamseg.streaming.ladder import Ladder


class Load:
    """A camera of 30 frames a second, an engine that takes `engine_s` for a frame, and their clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.ladder = Ladder(0.15, lambda: self.now_s)
        self.changes: list[float] = []

    def run(self, seconds: float, engine_s: float) -> None:
        """An engine that is too slow for what it is given loses the rest."""
        end = self.now_s + seconds
        while self.now_s < end - 1e-9:
            self.now_s += 1 / 30
            given = (1.0, 0.5, min(1.0, 1 / 30 / engine_s))[self.ladder.rung]
            taken = min(given, 1 / 30 / engine_s)
            before = self.ladder.steps
            self.ladder.worked(1, engine_s)
            self._lost = getattr(self, "_lost", 0.0) + given - taken
            lost, self._lost = int(self._lost), self._lost % 1
            self.ladder.note(1, lost)
            if self.ladder.steps != before:
                self.changes.append(self.now_s)


def test_down_within_seconds_and_up_after_ten_with_room() -> None:
    load = Load()
    load.run(20, 0.010)
    assert load.changes == []
    load.run(30, 0.050)
    assert load.ladder.rung == 1
    assert load.changes == pytest.approx([22], abs=2.1)
    load.run(30, 0.010)
    assert load.ladder.rung == 0
    assert 10 <= load.changes[1] - 50 <= 14.2


def test_an_engine_that_would_only_just_keep_up_stays_down() -> None:
    load = Load()
    load.run(10, 0.050)
    load.run(120, 0.028)
    assert load.ladder.rung == 1
    assert load.ladder.steps == 1


def test_a_load_that_comes_back_is_met_with_longer_patience() -> None:
    """15 s of each: without it the ladder would change 2 × 40 times."""
    load = Load()
    for _ in range(40):
        load.run(15, 0.050)
        load.run(15, 0.010)
    assert load.ladder.steps <= 12


def test_a_few_frames_say_nothing() -> None:
    load = Load()
    for _ in range(20):
        load.now_s += 1
        load.ladder.note(1, 1)
    assert load.ladder.rung == 0


def test_an_engine_slower_than_the_promise_works_beside_what_is_shown_until_it_is_fast_enough() -> None:
    load = Load()
    load.run(10, 0.200)
    assert load.ladder.rung == 2
    assert load.changes == pytest.approx([2, 4], abs=0.5)
    load.run(60, 0.110)  # every second frame would need 165 % of the time
    assert load.ladder.rung == 2
    load.run(14, 0.040)
    assert load.ladder.rung == 1
    load.run(30, 0.010)
    assert load.ladder.rung == 0


def test_a_call_that_is_nearly_as_long_as_the_promise_stays_beside() -> None:
    """Eight cameras in one call: there is time for all, but each result would be too old."""
    load = Load()
    load.run(10, 0.200)
    for _ in range(1000):
        load.now_s += 0.1
        load.ladder.worked(8, 0.120)
        load.ladder.note(8, 0)
    assert load.ladder.rung == 2
