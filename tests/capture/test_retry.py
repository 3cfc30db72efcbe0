"""Pauses between attempts."""

from __future__ import annotations

import pytest

from streamseg.capture.retry import Backoff


def test_pauses_double_up_to_the_longest_and_are_shortened_at_random() -> None:
    backoff = Backoff(10.0)
    pauses = [backoff.pause_s("connection") for _ in range(30)]
    longest = [min(0.25 * 2**k, 10.0) for k in range(30)]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    assert len(set(pauses)) > 25


@pytest.mark.parametrize("reason", ["auth", "certificate"])
@pytest.mark.parametrize("max_s", [0.3, 10.0])
def test_a_refused_password_or_certificate_is_never_tried_sooner_than_half_a_minute(reason, max_s) -> None:
    backoff = Backoff(max_s)
    pauses = [backoff.pause_s(reason) for _ in range(50)]
    assert min(pauses) >= 30
    assert 600 <= pauses[-1] <= 900


def test_a_session_that_lasted_begins_anew_and_a_short_one_does_not() -> None:
    backoff = Backoff(10.0)
    for _ in range(6):
        backoff.pause_s("connection")
    backoff.lived(0.9)
    assert backoff.pause_s("end_of_stream") >= 5
    backoff.lived(1.1)
    assert backoff.pause_s("end_of_stream") <= 0.25
