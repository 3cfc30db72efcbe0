"""Channel and Reader: policies, ends, fairness and exact accounts."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.pipeline import Channel, Policy, Reader

pytestmark = pytest.mark.timeout(120)
DEADLINE_S = 60.0


def filled(name: str, items: list[int], *, closed: bool = True) -> Channel[int]:
    channel: Channel[int] = Channel(name, max(1, len(items)))
    for item in items:
        assert channel.put(item)
    if closed:
        channel.close()
    return channel


def in_thread(act: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Start `act`; its result arrives in the list."""
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(act()))
    thread.start()
    return thread, got


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_blocked_put_goes_on_when_there_is_room() -> None:
    channel = filled("c", [0], closed=False)
    reader = Reader([channel])
    thread, accepted = in_thread(lambda: channel.put(1))
    wait_for(lambda: channel.stats().waiting == 1)
    time.sleep(0.02)
    assert reader.take() == [0]
    thread.join(DEADLINE_S)
    assert accepted == [True]
    assert reader.take() == [1]
    assert channel.stats().wait_put_s >= 0.02


def test_abort_wakes_a_blocked_put_and_counts_its_item() -> None:
    channel = filled("c", [0], closed=False)
    thread, accepted = in_thread(lambda: channel.put(1))
    wait_for(lambda: channel.stats().waiting == 1)
    channel.abort()
    thread.join(DEADLINE_S)
    assert accepted == [False]
    stats = channel.stats()
    assert (stats.offered, stats.aborted, stats.depth, stats.waiting) == (2, 2, 0, 0)


def test_close_lets_a_blocked_put_through() -> None:
    channel = filled("c", [0], closed=False)
    reader = Reader([channel])
    thread, accepted = in_thread(lambda: channel.put(1))
    wait_for(lambda: channel.stats().waiting == 1)
    channel.close()
    assert [reader.take(), reader.take(), reader.take()] == [[0], [1], []]
    thread.join(DEADLINE_S)
    assert accepted == [True]


@pytest.mark.parametrize("end", ["close", "abort"])
def test_an_end_wakes_a_waiting_reader(end: str) -> None:
    channels = [Channel[int](name, 1) for name in "ab"]
    reader = Reader(channels)
    listening = threading.Event()
    reader.wait = lambda at_most_s, wait=reader.wait: (listening.set(), wait(at_most_s))
    thread, got = in_thread(reader.take)
    assert listening.wait(DEADLINE_S)
    for channel in channels:
        getattr(channel, end)()
    thread.join(DEADLINE_S)
    assert got == [[]]
    assert reader.aborted is (end == "abort")
    assert channels[0].stats().wait_get_s > 0


def test_after_its_close_a_channel_refuses_and_counts_nothing() -> None:
    channel = filled("c", [0])
    assert not channel.put(1)
    assert channel.stats().offered == 1
    assert not channel.accepting
    assert not channel.ended
    assert Reader([channel]).take() == [0]
    assert channel.ended


def test_drop_oldest_keeps_the_newest() -> None:
    channel: Channel[int] = Channel("c", 2, "drop_oldest")
    assert all(channel.put(n) for n in range(10))
    channel.close()
    reader = Reader([channel], batch=5)
    assert [reader.take(), reader.take()] == [[8, 9], []]
    stats = channel.stats()
    assert (stats.offered, stats.taken, stats.overrun, stats.depth_max) == (10, 2, 8, 2)
    assert stats.depth_mean == pytest.approx(1.9)


def test_a_batch_takes_one_of_each_channel_and_round() -> None:
    reader = Reader([filled("a", [0, 1, 2, 3]), filled("b", [10, 11]), filled("c", [])], batch=5)
    assert [reader.take(), reader.take(), reader.take()] == [[0, 10, 1, 11, 2], [3], []]


def test_turns_go_on_from_one_take_to_the_next() -> None:
    reader = Reader([filled("a", [0, 1, 2]), filled("b", [10, 11, 12])])
    assert [reader.take()[0] for _ in range(6)] == [0, 10, 1, 11, 2, 12]


def test_a_batch_does_not_wait_to_fill() -> None:
    reader = Reader([filled("a", [0], closed=False), Channel[int]("b", 1)], batch=8)
    assert reader.take() == [0]


def test_a_reader_of_nothing_and_of_empty_batches() -> None:
    assert Reader[int]([]).take() == []
    with pytest.raises(ValueError, match="batch is 0"):
        Reader([Channel[int]("a", 1)], batch=0)


OPERATIONS = st.lists(st.sampled_from(["put", "put", "put", "take", "close", "abort"]), max_size=40)


@given(capacity=st.integers(1, 4), drops=st.booleans(), operations=OPERATIONS)
@settings(max_examples=150, deadline=None)
def test_a_channel_behaves_as_its_model(capacity: int, drops: bool, operations: list[str]) -> None:
    channel: Channel[int] = Channel("c", capacity, "drop_oldest" if drops else "block")
    reader = Reader([channel])
    inside: deque[int] = deque()
    offered = taken = overrun = lost = 0
    closed = aborted = False
    for number, operation in enumerate(operations):
        if operation == "put":
            full = len(inside) == capacity
            if full and not (drops or closed or aborted):
                continue  # would wait
            assert channel.put(number) is not (closed or aborted)
            if closed:
                continue
            offered += 1
            if aborted:
                lost += 1
                continue
            if full:
                inside.popleft()
                overrun += 1
            inside.append(number)
        elif operation == "take" and (inside or closed or aborted):
            expected = [inside.popleft()] if inside else []
            taken += len(expected)
            assert reader.take() == expected
        elif operation == "close":
            channel.close()
            closed = True
        elif operation == "abort":
            channel.abort()
            lost += len(inside)
            inside.clear()
            aborted = True
        stats = channel.stats()
        assert (stats.offered, stats.taken, stats.overrun, stats.aborted) == (offered, taken, overrun, lost)
        assert stats.depth == len(inside) == offered - taken - overrun - lost


@given(
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    capacity=st.integers(1, 4),
    drops=st.booleans(),
    batch=st.integers(1, 5),
    abort_after=st.none() | st.integers(0, 60),
)
@settings(max_examples=40, deadline=None)
def test_no_item_is_lost_or_invented_between_threads(
    counts: list[int], capacity: int, drops: bool, batch: int, abort_after: int | None
) -> None:
    policy: Policy = "drop_oldest" if drops else "block"
    channels = [Channel[tuple[int, int]](str(k), capacity, policy) for k in range(len(counts))]
    offered = [0] * len(counts)

    def produce(k: int) -> None:
        for number in range(counts[k]):
            offered[k] += 1
            if not channels[k].put((k, number)):
                break
        channels[k].close()

    reader = Reader(channels, batch)
    threads = [threading.Thread(target=produce, args=(k,)) for k in range(len(counts))]
    for thread in threads:
        thread.start()
    got: list[tuple[int, int]] = []
    while items := reader.take():
        assert 1 <= len(items) <= batch
        got += items
        if abort_after is not None and len(got) >= abort_after:
            for channel in channels:
                channel.abort()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    for k, channel in enumerate(channels):
        mine = [number for source, number in got if source == k]
        stats = channel.stats()
        assert mine == sorted(set(mine)), "in order, none twice"
        assert stats.offered == offered[k]
        assert stats.taken == len(mine)
        assert stats.offered == stats.taken + stats.overrun + stats.aborted
        assert stats.overrun == 0 or drops
        assert stats.aborted == 0 or abort_after is not None
        if abort_after is None and not drops:
            assert mine == list(range(counts[k]))
