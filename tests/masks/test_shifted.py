"""Masks moved over the frame, against their pixels moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamseg.masks import BoxGrids, Masks, full_frame, shifted

HW = (80, 120)
BOXES = np.array([[20, 24, 60, 56], [64, 16, 88, 40]], np.float32)


def on_input() -> Masks:
    """Two ellipses on a grid of four pixels a cell."""
    y, x = np.mgrid[2:80:4, 2:120:4]
    soft = np.zeros((2, 20, 30), np.uint8)
    for k, (x1, y1, x2, y2) in enumerate(BOXES):
        far = ((x - (x1 + x2) / 2) / (x2 - x1) * 2) ** 2 + ((y - (y1 + y2) / 2) / (y2 - y1) * 2) ** 2
        soft[k] = np.clip(255 * (1.5 - far), 0, 255).astype(np.uint8)
    return Masks(soft, (4.0, 4.0), HW)


def on_boxes() -> Masks:
    return Masks(np.full((2, 7, 7), 255, np.uint8), BoxGrids(BOXES), HW)


def pixels(masks: Masks, boxes: np.ndarray, k: int) -> np.ndarray:
    return full_frame(masks, boxes.astype(np.float32), k)


@pytest.mark.parametrize("made", [on_input, on_boxes])
def test_whole_cells(made) -> None:
    masks, by = made(), np.array([[8, 4], [-16, 12]], np.float32)
    moved = shifted(masks, by)
    for k, (dx, dy) in enumerate(by.astype(int)):
        before = pixels(masks, BOXES, k)
        after = pixels(moved, BOXES + np.tile(by, 2), k)
        np.testing.assert_array_equal(after, np.roll(before, (dy, dx), (0, 1)))


@given(st.floats(-15, 15), st.floats(-12, 12))
def test_parts_of_cells_keep_place_and_size(dx: float, dy: float) -> None:
    masks, by = on_input(), np.tile(np.array([[dx, dy]], np.float32), (2, 1))
    before = pixels(masks, BOXES, 0)
    after = pixels(shifted(masks, by), BOXES + np.tile(by, 2), 0)
    centres = [np.argwhere(of).mean(axis=0) for of in (before, after)]
    assert centres[1] - centres[0] == pytest.approx([dy, dx], abs=0.7)
    assert after.sum() == pytest.approx(before.sum(), rel=0.07)


@pytest.mark.parametrize("made", [on_input, on_boxes])
def test_what_leaves_is_lost_and_nothing_is_changed(made) -> None:
    masks = made()
    kept = masks.soft.copy()
    moved = shifted(masks, np.array([[1000, 0], [0, 0]], np.float32))
    assert not pixels(moved, BOXES + np.array([[1000, 0, 1000, 0], [0] * 4]), 0).any()
    np.testing.assert_array_equal(pixels(moved, BOXES, 1), pixels(masks, BOXES, 1))
    np.testing.assert_array_equal(masks.soft, kept)
    assert not np.shares_memory(moved.soft, masks.soft)


def test_a_shift_for_each() -> None:
    with pytest.raises(ValueError, match=r"expected \(2, 2\) shifts, got \(1, 2\)"):
        shifted(on_input(), np.zeros((1, 2)))
    assert len(shifted(Masks(np.zeros((0, 4, 4), np.uint8), (1.0, 1.0), (4, 4)), np.zeros((0, 2)))) == 0
