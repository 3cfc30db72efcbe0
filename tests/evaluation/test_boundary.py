import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from streamseg.evaluation.boundary import boundary_distances, boundary_error_px
from streamseg.masks import Region


def square(x, y, side):
    return Region((x, y), np.ones((side, side), np.bool_))


def test_equal_masks_have_no_error():
    assert boundary_error_px(square(5, 7, 9), square(5, 7, 9)) == 0


def test_two_pixels_are_as_far_apart_as_they_are():
    assert boundary_distances(square(10, 10, 1), square(13, 14, 1)).tolist() == [5, 5]


def test_a_square_around_a_square():
    error = boundary_error_px(square(2, 2, 10), square(0, 0, 14))
    expected = (36 * 2 + 40 * 2 + 8 * math.sqrt(5) + 4 * math.sqrt(8)) / (36 + 52)
    assert error == pytest.approx(expected, rel=1e-6)


def test_a_hole_has_a_border_too():
    holed = np.ones((9, 9), np.bool_)
    holed[4, 4] = False
    distances = boundary_distances(Region((0, 0), holed), square(0, 0, 9))
    assert distances.max() == 3  # the four pixels around the hole; they lie three within the edge
    assert np.count_nonzero(distances) == 4


BITS = arrays(np.bool_, st.tuples(st.integers(1, 8), st.integers(1, 8)))


@settings(max_examples=50, deadline=None)
@given(BITS, BITS, st.integers(-6, 6))
def test_as_by_brute_force(a, b, shift):
    a[0, 0] = b[0, 0] = True
    first, second = Region((10, 10), a), Region((10 + shift, 12), b)
    borders = [_border(r) for r in (first, second)]
    table = cdist(*borders)
    expected = np.concatenate([table.min(1), table.min(0)])
    assert np.sort(boundary_distances(first, second)) == pytest.approx(np.sort(expected), abs=1e-5)


def _border(region):
    padded = np.pad(region.bits, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(region.bits & ~inner)[:, ::-1] + region.origin_xy
