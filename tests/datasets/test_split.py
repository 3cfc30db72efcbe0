"""Held-out files depend on names alone."""

from streamseg.datasets.split import held_out

NAMES = [f"{k:012d}.jpg" for k in range(200)]


def test_share_is_exact_and_order_does_not_matter() -> None:
    out = held_out(NAMES, 0.1)

    assert len(out) == 20
    assert held_out(reversed(NAMES), 0.1) == out


def test_the_rule_never_changes() -> None:
    assert sorted(held_out(NAMES[:40], 0.05)) == ["000000000022.jpg", "000000000028.jpg"]


def test_more_are_the_same_and_some() -> None:
    assert held_out(NAMES, 0.1) < held_out(NAMES, 0.2)
