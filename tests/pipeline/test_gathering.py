"""Batches by count and time: who is waited for, and for how long; order and fairness."""

from __future__ import annotations

from collections import Counter

import pytest

from streamseg.pipeline import Channel, Reader
from streamseg.pipeline.gathering import Gathering, Inflow

pytestmark = pytest.mark.timeout(120)


class Cameras:
    """Inputs of one slot with rates of their own, on a clock of their own."""

    def __init__(self, *rates: float, window_s: float = 0.1) -> None:
        self.now_s = 100.0
        self.gathering = Gathering(window_s, lambda: self.now_s)
        self.rates = dict(enumerate(rates))
        self.offered = dict.fromkeys(self.rates, 0)
        self.last_s = dict.fromkeys(self.rates, -1e9)
        self.held: set[int] = set()

    def step(self) -> None:
        """A millisecond."""
        self.now_s += 0.001
        for camera, rate in self.rates.items():
            due = int((self.now_s - 100.0 + 0.0037 * camera) * rate)
            if due > self.offered[camera]:
                self.offered[camera], self.last_s[camera] = due, self.now_s
                self.held.add(camera)

    def batches(self, seconds: float, batch: int = 8) -> list[tuple[float, set[int]]]:
        """When each batch was taken, seconds after its first item, and whose items were in it."""
        taken, since = [], None
        for _ in range(round(seconds * 1000)):
            self.step()
            since = self.now_s if self.held and since is None else since
            inflows = [
                Inflow(str(c), int(c in self.held), self.offered[c], self.last_s[c]) for c in self.rates
            ]
            if self.held and since is not None and not self.gathering.left_s(inflows, batch):
                taken.append((self.now_s - since, set(self.held)))
                self.gathering.taken()
                self.held.clear()
                since = None
        return taken


def test_cameras_of_one_rate_share_every_call() -> None:
    taken = Cameras(30, 30, 30, 30).batches(5)
    assert {len(who) for _, who in taken[30:]} == {4}
    assert max(waited for waited, _ in taken[30:]) < 1 / 30


def test_nobody_waits_longer_than_the_window_or_than_the_busiest_takes_for_a_frame() -> None:
    assert max(waited for waited, _ in Cameras(30, 2, window_s=0.1).batches(5)[30:]) < 1 / 30 + 0.002
    assert max(waited for waited, _ in Cameras(5, 2, window_s=0.1).batches(5)[10:]) < 0.102


def test_a_silent_camera_leaves_the_window_after_two_seconds_and_comes_back() -> None:
    cameras = Cameras(30, 30)
    cameras.batches(3)
    cameras.rates[1] = 0.0
    silent = cameras.batches(2) + cameras.batches(2)
    assert max(waited for waited, _ in silent[-50:]) == 0
    cameras.rates[1] = 30.0
    assert {len(who) for _, who in cameras.batches(1)[-20:]} == {2}


def test_a_full_batch_is_taken_at_once() -> None:
    taken = Cameras(30, 30, 30, 30, 30, 30).batches(4, batch=2)
    assert {len(who) for _, who in taken[30:]} >= {2}
    # 15 ms lie between the last of them and the first.
    assert max(waited for waited, _ in taken[30:]) < 0.016


def test_each_source_stays_in_order_and_each_gets_its_share() -> None:
    """Seven that always have something and one that has every now and then; three a batch."""
    channels: list[Channel[tuple[int, int]]] = [Channel(str(k), 60) for k in range(8)]
    for k, channel in enumerate(channels[:7]):
        for index in range(60):
            channel.put((k, index))
    reader = Reader(channels, 3, window_s=0.05)
    got, late = [], 0
    for turn in range(100):
        if turn % 10 == 0:
            channels[7].put((7, late))
            late += 1
        got += reader.take()
    for k in range(8):
        mine = [index for source, index in got if source == k]
        assert mine == list(range(len(mine)))
    counts = Counter(source for source, _ in got)
    assert counts[7] == late
    assert max(counts[k] for k in range(7)) - min(counts[k] for k in range(7)) <= 1


def test_an_end_is_not_waited_for() -> None:
    one, other = Channel[int]("one", 2), Channel[int]("other", 2)
    reader = Reader([one, other], 4, window_s=0.1)
    other.put(1)
    assert reader.take() == [1]
    one.put(2)
    other.close()
    one.close()
    assert [reader.take(), reader.take()] == [[2], []]
