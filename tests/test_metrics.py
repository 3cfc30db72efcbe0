"""Counters and quantiles against exact computations."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamseg.metrics import Counter, LatencyQuantiles, Rate, RecentQuantiles, StageMetrics


def quantiles_of(durations: list[float]) -> LatencyQuantiles:
    quantiles = LatencyQuantiles()
    for seconds in durations:
        quantiles.add(seconds)
    return quantiles


def nearest_rank(durations: list[float], q: float) -> float:
    return sorted(durations)[max(1, math.ceil(q * len(durations))) - 1]


@given(
    durations=st.lists(st.floats(1e-6, 999.0), min_size=1, max_size=200),
    q=st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]),
)
def test_quantiles_are_within_one_per_cent(durations: list[float], q: float) -> None:
    assert quantiles_of(durations).quantile(q) == pytest.approx(nearest_rank(durations, q), rel=0.01)


def test_count_total_and_extremes_are_exact() -> None:
    quantiles = quantiles_of([0.010, 0.020, 0.060])
    assert (quantiles.count, quantiles.total_s) == (3, pytest.approx(0.090))
    assert (quantiles.min_s, quantiles.max_s) == (0.010, 0.060)
    shot = quantiles.snapshot()
    assert (shot["count"], shot["mean_ms"], shot["max_ms"]) == (3, pytest.approx(30), 60)
    assert shot["p50_ms"] == pytest.approx(20, rel=0.01)


def test_what_is_out_of_range_stays_between_the_extremes() -> None:
    quantiles = quantiles_of([0.0, -1.0, 1e-9, 5e4])
    assert quantiles.quantile(0.5) <= 1.02e-6
    assert 990 <= quantiles.quantile(1.0) <= 5e4
    assert quantiles.count == 4


def test_no_durations_make_zeros() -> None:
    assert set(LatencyQuantiles().snapshot().values()) == {0}


def test_memory_does_not_grow() -> None:
    quantiles = LatencyQuantiles()
    bins = len(quantiles._bins)
    for number in range(10_000):
        quantiles.add(number * 1e-4)
    assert len(quantiles._bins) == bins < 1100


@given(
    durations=st.lists(st.floats(1e-6, 999.0), min_size=1, max_size=200),
    q=st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]),
)
def test_recent_quantiles_are_within_one_per_cent(durations: list[float], q: float) -> None:
    recent = RecentQuantiles(10.0)
    for number, seconds in enumerate(durations):
        recent.add(seconds, now=100.0 + 9.0 * number / len(durations))
    assert recent.quantile(q, now=109.0) == pytest.approx(nearest_rank(durations, q), rel=0.011)


def test_recent_quantiles_show_a_lag_that_grows_after_an_hour() -> None:
    whole, recent = LatencyQuantiles(), RecentQuantiles(10.0)
    for frame in range(3600 * 10 + 100):
        age_s = 0.05 if frame < 36_000 else 2.0
        whole.add(age_s)
        recent.add(age_s, now=frame / 10)
    assert whole.quantile(0.5) == pytest.approx(0.05, rel=0.01)
    assert recent.quantile(0.5, now=3610.0) == pytest.approx(2.0, rel=0.011)
    assert recent.snapshot(now=3610.0)["count"] == pytest.approx(100, abs=10)


def test_recent_quantiles_forget() -> None:
    recent = RecentQuantiles(10.0)
    recent.add(0.5, now=100.0)
    assert recent.snapshot(now=108.9)["count"] == 1
    assert recent.quantile(0.99, now=108.9) == pytest.approx(0.5, rel=0.011)
    assert set(recent.snapshot(now=110.1).values()) == {0}
    assert set(RecentQuantiles().snapshot().values()) == {0}


def test_recent_quantiles_hold_the_last_steps_only() -> None:
    recent = RecentQuantiles(10.0)
    for number in range(10_000):
        recent.add(number * 1e-4, now=float(number))
    assert len(recent._steps) == RecentQuantiles.STEPS


def test_n_ticks_span_n_minus_one_intervals() -> None:
    rate = Rate()
    assert rate.per_second == 0.0
    rate.tick(now=10.0)
    assert rate.per_second == rate.recent_per_second(now=10.0) == 0.0
    for number in range(1, 11):
        rate.tick(now=10.0 + 0.1 * number)
    assert rate.per_second == pytest.approx(10.0)
    assert rate.recent_per_second(now=11.0) == pytest.approx(10.0)


def test_items_that_arrive_together() -> None:
    rate = Rate()
    for number in range(5):
        rate.tick(4, now=float(number))
    assert rate.per_second == pytest.approx(4.0)


def test_the_recent_rate_forgets_and_fades() -> None:
    rate = Rate()
    for number in range(100):
        rate.tick(now=float(number))
    for number in range(1, 101):
        rate.tick(now=99 + 0.1 * number)
    assert rate.recent_per_second(now=109.0) == pytest.approx(10.0)
    assert rate.recent_per_second(now=109.1) == pytest.approx(10.0), "the next one is not late yet"
    assert rate.recent_per_second(now=1109.0) < 0.1
    assert rate.per_second == pytest.approx(199 / 109)


def test_counter() -> None:
    counter = Counter()
    counter.add()
    counter.add(4)
    assert counter.value == 5


def test_stage_metrics_are_json() -> None:
    metrics = StageMetrics()
    metrics.items_in.add(3)
    metrics.work.add(0.5)
    shot = json.loads(json.dumps(metrics.snapshot()))
    assert (shot["items_in"], shot["items_out"], shot["work_s"]) == (3, 0, 0.5)
