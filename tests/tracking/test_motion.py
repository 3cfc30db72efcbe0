from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamseg.tracking import motion

BOX = np.array([[50.0, 60.0, 10.0, 20.0]])  # cx cy w h; noise of a height of 20 is 1 pixel
PACE = 0.1


def moved(dx: float, dy: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    box: np.ndarray[Any, np.dtype[np.float64]] = BOX + np.array([dx, dy, 0, 0])
    return box


def test_a_step_computed_by_hand() -> None:
    state = motion.initiate(BOX, PACE)
    # Position variance (20/20)², velocity variance (20·10/160 / 0.1 s)² = 12.5².
    assert state[0, :, 0].tolist() == pytest.approx([50, 0, 1, 0, 156.25])

    motion.predict(state, 0.1, PACE)
    # Density of the acceleration noise: (20/160 / 0.1)² / 0.1 = 15.625.
    # pp = 1 + 0.1²·156.25 + 15.625·0.1³/3, pv = 0.1·156.25 + 15.625·0.1²/2, vv = 156.25 + 15.625·0.1
    assert state[0, :, 0].tolist() == pytest.approx([50, 0, 2.56770833, 15.703125, 157.8125])

    after = motion.correct(state, moved(3, 0))
    # Gains pp/(pp+1) = 0.7197081 and pv/(pp+1) = 4.4014599; vv falls by 4.4014599·15.703125.
    assert after[0, :, 0].tolist() == pytest.approx(
        [50 + 3 * 0.7197081, 3 * 4.4014599, 0.7197081, 4.4014599, 88.6958257], rel=1e-6
    )
    assert after[0, :2, 1].tolist() == [60, 0]


def test_no_time_changes_nothing() -> None:
    state = motion.initiate(BOX, PACE)
    before = state.copy()
    motion.predict(state, 0.0, PACE)
    assert np.array_equal(state, before)


steps = st.floats(0.001, 2.0)


@given(steps, steps)
def test_two_short_steps_are_one_long_step(first: float, second: float) -> None:
    split, whole = motion.initiate(BOX, PACE), motion.initiate(BOX, PACE)
    motion.predict(split, first, PACE)
    motion.predict(split, second, PACE)
    motion.predict(whole, first + second, PACE)
    np.testing.assert_allclose(split, whole, rtol=1e-9)


def test_the_nominal_step_is_nothing_special() -> None:
    states = [motion.initiate(BOX, PACE) for _ in range(3)]
    for state, step in zip(states, (PACE * (1 - 1e-9), PACE, PACE * (1 + 1e-9)), strict=True):
        motion.predict(state, step, PACE)
    np.testing.assert_allclose(states[0], states[1], rtol=1e-7)
    np.testing.assert_allclose(states[2], states[1], rtol=1e-7)


@given(st.lists(st.tuples(steps, st.floats(-50, 50)), min_size=1, max_size=8))
def test_equals_the_textbook_filter(seen: list[tuple[float, float]]) -> None:
    """The closed form against matrices, for cx of a box of constant size."""
    state = motion.initiate(BOX, PACE)
    x, p = np.array([50.0, 0.0]), np.diag(state[0, [2, 4], 0])
    density = (20 / 160 / PACE) ** 2 / PACE
    for dt, offset in seen:
        measured = moved(offset, 0)
        motion.predict(state, dt, PACE)
        state = motion.correct(state, measured)
        f = np.array([[1, dt], [0, 1]])
        x, p = f @ x, f @ p @ f.T + density * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        k = p[:, 0] / (p[0, 0] + 1)
        x, p = x + k * (measured[0, 0] - x[0]), p - np.outer(k, p[0])
    np.testing.assert_allclose(state[0, :2, 0], x, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(state[0, 2:, 0], [p[0, 0], p[0, 1], p[1, 1]], rtol=1e-6, atol=1e-9)


def test_learns_a_constant_velocity() -> None:
    state = motion.initiate(BOX, PACE)
    for k in range(1, 40):
        motion.predict(state, 0.1, PACE)
        state = motion.correct(state, moved(5 * k, -2 * k))
    assert motion.displacement(state, np.array([1.0]))[0] == pytest.approx([50, -20], abs=0.5)


def test_boxes_and_measurements_are_inverse() -> None:
    xyxy = np.array([[10, 20, 40, 80], [0, 0, 5, 7]], np.float32)
    state = motion.initiate(motion.measure(xyxy), PACE)
    assert np.array_equal(motion.boxes_of(state), xyxy)


def test_a_shrinking_box_keeps_a_side() -> None:
    state = motion.initiate(BOX, PACE)
    state[:, 1, 2:] = -100
    motion.predict(state, 1.0, PACE)
    assert state[0, 0, 2:].tolist() == [1, 1]
