import math

import numpy as np
import pytest

from streamseg.evaluation.flicker import steadiness


def square(x: int, side: int = 10) -> np.ndarray:
    bits = np.zeros((40, 80), bool)
    bits[10 : 10 + side, x : x + side] = True
    return bits


def test_motion_is_no_flicker() -> None:
    assert steadiness([{1: square(5 + 7 * k)} for k in range(6)]) == 1


def test_a_changing_shape_is() -> None:
    assert steadiness([{1: square(5)}, {1: square(5, 20)}]) == pytest.approx(100 / 400)


def test_each_object_counts_where_it_is_in_two_frames_in_a_row() -> None:
    frames = [{1: square(5), 2: square(50)}, {1: square(6)}, {2: square(50), 1: square(8) & False}]
    assert steadiness(frames) == 1
    assert math.isnan(steadiness([{1: square(5)}, {2: square(5)}]))


def test_what_leaves_the_picture_is_not_compared() -> None:
    assert steadiness([{1: square(60)}, {1: square(70)}]) == 1
