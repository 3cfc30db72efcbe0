import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from streamseg.geometry import box_area, box_iou, clip_boxes

BOXES = hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(4)), elements=st.integers(-20, 20))


def pixels(box: NDArray[np.float32]) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = (int(v) for v in box)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


def test_area_of_a_box_and_of_degenerate_ones() -> None:
    boxes = np.array([[1, 2, 4, 6], [3, 3, 3, 9], [5, 5, 4, 4]], np.float32)
    assert box_area(boxes).tolist() == [12.0, 0.0, 0.0]
    assert box_area(np.zeros((0, 4), np.float32)).shape == (0,)


def test_iou_of_known_boxes() -> None:
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 2, 8]], np.float32)
    np.testing.assert_allclose(box_iou(a, b), [[1.0, 1 / 3, 0.0, 0.0]])


def test_iou_has_a_row_per_left_and_a_column_per_right() -> None:
    none, two = np.zeros((0, 4), np.float32), np.zeros((2, 4), np.float32)
    assert box_iou(none, two).shape == (0, 2)
    assert box_iou(two, none).shape == (2, 0)
    assert box_iou(two, two).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert box_iou(two, two).dtype == np.float64


@given(BOXES, BOXES)
def test_iou_counts_pixels(a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
    got = box_iou(a, b)
    for i, left in enumerate(map(pixels, a)):
        for j, right in enumerate(map(pixels, b)):
            want = len(left & right) / len(left | right) if left and right else 0.0
            assert abs(got[i, j] - want) < 1e-12


def test_clip_moves_corners_into_the_frame_and_leaves_the_input() -> None:
    boxes = np.array([[-5, -1, 700, 30], [650, 490, 660, 500]], np.float32)
    before = boxes.copy()
    clipped = clip_boxes(boxes, (480, 640))
    assert clipped.tolist() == [[0, 0, 640, 30], [640, 480, 640, 480]]
    assert clipped.dtype == np.float32
    np.testing.assert_array_equal(boxes, before)
