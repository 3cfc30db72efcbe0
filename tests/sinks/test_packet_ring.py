"""The last seconds in memory: from a key picture on, bounded in seconds and in bytes."""

import pytest

from streamseg.encoded import EncodedPacket
from streamseg.sinks.packet_ring import PacketRing

SECOND = 1_000_000_000


def packet(at_s: float, *, key: bool = False, size: int = 100) -> EncodedPacket:
    return EncodedPacket(
        "h264", bytes(size), b"h" if key else b"", key, at_s, at_s, 1, round(at_s * SECOND), 0
    )


def filled(ring, seconds, gop_s, size=100):
    """Ten pictures a second."""
    for k in range(round(seconds * 10)):
        ring.add(packet(k / 10, key=k % round(gop_s * 10) == 0, size=size))
    return ring


def times(packets):
    return [p.arrived_ns / SECOND for p in packets]


def test_it_begins_with_the_key_picture_before_the_moment():
    ring = filled(PacketRing(5, 10**6), 20, gop_s=2)
    found = times(ring.since(15 * SECOND + SECOND // 2))
    assert found[0] == 14.0
    assert found[-1] == 19.9
    assert len(found) == 60


def test_of_the_past_at_least_the_seconds_are_kept_and_a_group_more_at_most():
    ring = PacketRing(5, 10**6)
    for k in range(400):
        ring.add(packet(k / 10, key=k % 20 == 0))
        kept = times(ring.since(0))
        assert kept[0] % 2 == 0
        assert min(k / 10, 5.0) <= k / 10 - kept[0] <= 7.0
    assert ring.overflows == 0


def test_key_pictures_further_apart_than_the_seconds_still_leave_a_place_to_begin():
    """OpenIPC/wiki#504."""
    ring = filled(PacketRing(2, 10**6), 29, gop_s=10)
    assert times(ring.since(28 * SECOND))[0] == 20.0


def test_too_many_bytes_cost_the_oldest_groups_and_are_counted():
    ring = filled(PacketRing(100, 5_000), 20, gop_s=1)
    kept = ring.since(0)
    assert sum(len(p.data) for p in kept) <= 5_000
    assert times(kept)[0] == 15.0
    assert ring.overflows == 15


def test_a_group_that_is_larger_than_the_ring_is_given_up_whole():
    ring = filled(PacketRing(100, 5_000), 9, gop_s=100)
    assert ring.since(0) == []
    assert ring.overflows == 1
    ring.add(packet(9.0, key=True))
    assert times(ring.since(0)) == [9.0]


@pytest.mark.parametrize("before", [0, 3])
def test_nothing_before_the_first_key_picture(before):
    ring = PacketRing(5, 10**6)
    for k in range(before):
        ring.add(packet(k / 10))
    assert ring.since(10 * SECOND) == []
