"""Masks on boxes against full pictures of an original: what rounding of cells explains, and what not."""

from __future__ import annotations

import numpy as np
import pytest

from streamseg.evaluation.parity import Findings, compare_detections
from streamseg.masks import BoxGrids, Masks
from streamseg.structures import Instances

FRAME_HW = 90, 120
BOX = np.array([[20.3, 11.7, 96.2, 70.1]], np.float32)


def instances(soft: np.ndarray, paste: str = "continuous") -> Instances:
    masks = Masks(soft[None], BoxGrids(BOX, paste), FRAME_HW)
    return Instances(BOX, np.ones(1, np.float32), np.zeros(1, np.int32), masks)


def expected(cells: np.ndarray, paste: str) -> Findings:
    """What an original finds that interpolates `cells` unrounded: by weights over the whole frame."""
    x1, y1, x2, y2 = BoxGrids(BOX, paste).extent(0, *cells.shape)
    at = [
        np.clip((np.arange(pixels) + 0.5 - low) / (high - low) * (n + 2) - 0.5, 0, n + 1)
        for pixels, low, high, n in zip(FRAME_HW, (y1, x1), (y2, x2), cells.shape, strict=True)
    ]
    down, across = (
        np.maximum(0, 1 - np.abs(a[:, None] - np.arange(n + 2))) for a, n in zip(at, cells.shape, strict=True)
    )
    levels = down @ np.pad(cells, 1) @ across.T
    return Findings(np.zeros(1, np.int64), np.ones(1, np.float32), BOX, (levels >= 127.5)[None])


@pytest.mark.parametrize("paste", ["continuous", "torchvision"])
def test_what_rounding_the_cells_decides_is_told_from_what_it_does_not(paste: str) -> None:
    cells = np.random.default_rng(0).uniform(120, 135, (28, 28))
    found = instances(np.round(cells).astype(np.uint8), paste)
    rounded = compare_detections(expected(cells, paste), found)
    assert (rounded.expected, rounded.equal, rounded.rounding) == (1, 0, 1)
    moved = compare_detections(expected(np.roll(cells, 1, 0), paste), found)
    assert (moved.expected, moved.equal, moved.rounding) == (1, 0, 0)


@pytest.mark.parametrize("paste", ["continuous", "torchvision"])
def test_smooth_masks_on_boxes_are_equal(paste: str) -> None:
    y, x = np.mgrid[:28, :28]
    cells = np.clip(127.5 + 30 * (11 - np.hypot(x - 13.5, y - 12)), 0, 255)
    parity = compare_detections(expected(cells, paste), instances(np.round(cells).astype(np.uint8), paste))
    assert (parity.expected, parity.equal) == (1, 1)
    assert parity.mask_iou > 0.995
