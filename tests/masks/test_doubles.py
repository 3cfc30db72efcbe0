"""Of one object under two names the surer stays."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.masks import Masks, without_doubles

Cells = tuple[int, int, int, int]


def kept(cells: list[Cells], classes: list[int], scores: tuple[float, ...] = (0.9, 0.6, 0.4)) -> list[bool]:
    """Of rectangles x0 y0 x1 y1 of cells on a grid of 20 × 20 over a frame of 40 × 40."""
    soft: NDArray[np.uint8] = np.zeros((len(cells), 20, 20), np.uint8)
    for mask, (x0, y0, x1, y1) in zip(soft, cells, strict=True):
        mask[y0:y1, x0:x1] = 255
    boxes = 2 * np.array(cells, np.float32).reshape(-1, 4)
    masks = Masks(soft, (2.0, 2.0), (40, 40))
    score = np.array(scores[: len(cells)], np.float32)
    return list(without_doubles(boxes, score, np.array(classes, np.int32), masks, 0.7).tolist())


WHOLE, MOST, HALF = (0, 0, 10, 10), (0, 0, 10, 8), (0, 0, 10, 5)


@pytest.mark.parametrize(
    ("cells", "classes", "expected"),
    [
        ([WHOLE, WHOLE], [2, 7], [True, False]),
        ([WHOLE, WHOLE], [2, 2], [True, True]),  # the engine's own suppression has seen them
        ([WHOLE, MOST], [2, 7], [True, False]),  # IoU 0.8
        ([WHOLE, HALF], [2, 7], [True, True]),
        ([WHOLE, MOST, (0, 2, 10, 8)], [2, 7, 5], [True, False, True]),  # 0.75 with one that is not there
        ([WHOLE, (10, 0, 20, 10)], [2, 7], [True, True]),
        ([], [], []),
    ],
)
def test_masks_of_other_classes_are_compared(
    cells: list[Cells], classes: list[int], expected: list[bool]
) -> None:
    assert kept(cells, classes) == expected


def test_of_two_that_are_equally_sure_both_are_kept() -> None:
    """A score of 0.75 of the other's is not below three quarters; the third is below that of the first."""
    assert kept([WHOLE, WHOLE, WHOLE], [2, 7, 5], (0.8, 0.6, 0.59)) == [True, True, False]


def test_boxes_alike_do_not_make_masks_alike() -> None:
    soft = np.zeros((2, 20, 20), np.uint8)
    soft[0, :10, :5], soft[1, :10, 5:10] = 255, 255
    boxes = np.array([[0, 0, 20, 20]] * 2, np.float32)
    masks = Masks(soft, (2.0, 2.0), (40, 40))
    score = np.array([0.9, 0.3], np.float32)
    assert without_doubles(boxes, score, np.array([1, 2], np.int32), masks, 0.7).all()
