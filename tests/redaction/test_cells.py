"""Masks as cells: whatever a mask touches is covered."""

import numpy as np
import pytest

from streamseg.masks import BoxGrids, Masks, full_frame
from streamseg.redaction.cells import CellGrid, patches
from streamseg.structures import Instances


def instances_of(masks, boxes):
    boxes = np.array(boxes, np.float32)
    return Instances(boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int32), masks)


def on_frame(patch, grid):
    """The pixels that a patch covers."""
    cells = np.zeros(grid.hw, bool)
    h, w = patch.bits.shape
    cells[patch.y0 : patch.y0 + h, patch.x0 : patch.x0 + w] = patch.bits > 0
    pixels = np.kron(cells, np.ones((grid.side, grid.side), bool))
    return pixels[: grid.frame_hw[0], : grid.frame_hw[1]]


@pytest.mark.parametrize("soft_hw", [(18, 24), (45, 80), (144, 192)])
@pytest.mark.parametrize("logit", [False, True])
def test_every_pixel_of_a_mask_is_covered(soft_hw, logit):
    random = np.random.default_rng(soft_hw[0])
    frame_hw = (144, 193)
    grid = CellGrid(frame_hw)
    for _ in range(20):
        soft = np.zeros((1, *soft_hw), np.uint8)
        y, x = random.integers(0, soft_hw[0] - 4), random.integers(0, soft_hw[1] - 4)
        h, w = random.integers(1, 8, 2)
        soft[0, y : y + h, x : x + w] = random.integers(128, 255)
        scale = frame_hw[1] / soft_hw[1], frame_hw[0] / soft_hw[0]
        masks = Masks(soft, scale, frame_hw, logit_slope=16.0 if logit else None)
        box = [x * scale[0], y * scale[1], (x + w) * scale[0], (y + h) * scale[1]]
        found = instances_of(masks, [np.clip(box, 0, [193, 144, 193, 144])])
        truth = full_frame(found.masks, found.xyxy, 0)
        covered = on_frame(patches(found, grid)[0], grid)
        assert not (truth & ~covered).any()


def test_a_mask_that_lies_beyond_its_box_is_covered_there():
    soft = np.zeros((1, 36, 48), np.uint8)
    soft[0, 4:30, 4:12] = 255
    soft[0, 20:26, 30:44] = 255  # far outside the box
    grid = CellGrid((144, 192))
    found = instances_of(Masks(soft, (4.0, 4.0), (144, 192), logit_slope=16.0), [[16, 16, 48, 120]])
    covered = on_frame(patches(found, grid)[0], grid)
    assert covered[80:104, 120:176].all()


def test_masks_over_boxes_lie_where_their_boxes_are():
    soft = np.full((1, 28, 28), 255, np.uint8)
    boxes = np.array([[30, 40, 86, 124]], np.float32)
    grid = CellGrid((144, 192))
    covered = on_frame(patches(instances_of(Masks(soft, BoxGrids(boxes), (144, 192)), boxes), grid)[0], grid)
    assert covered[40:124, 30:86].all()
    assert not covered[:, 100:].any()


@pytest.mark.parametrize("part", ["nothing", "no head", "a speck"])
def test_a_mask_that_does_not_fit_its_box_does_not_count_alone(part):
    soft = np.zeros((1, 36, 48), np.uint8)
    if part == "no head":
        soft[0, 12:30, 4:12] = 255
    if part == "a speck":
        soft[0, 5:29:12, 5:11:5] = 255
    grid = CellGrid((144, 192))
    found = instances_of(Masks(soft, (4.0, 4.0), (144, 192)), [[16, 16, 48, 120]])
    assert on_frame(patches(found, grid)[0], grid)[16:120, 16:48].all()


def test_cells_are_eight_pixels_of_720():
    assert CellGrid((720, 1280)).side == 8
    assert CellGrid((720, 1280)).hw == (90, 160)
    assert CellGrid((33, 65)).hw == (17, 33)
