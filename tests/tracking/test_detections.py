import math
from collections.abc import Callable

import numpy as np
import pytest

from streamseg.masks import BoxGrids, Masks
from streamseg.structures import Instances
from streamseg.tracking.detections import detections_from_instances, outline_iou

MakeInstances = Callable[..., Instances]


def test_ordered_by_score_then_place(make_instances: MakeInstances) -> None:
    boxes = [[50, 0, 60, 10], [0, 50, 10, 60], [0, 0, 10, 10], [0, 0, 10, 10]]
    found, rejected = detections_from_instances(make_instances(boxes, scores=[0.5, 0.5, 0.5, 0.8]), 0.1)
    assert found.index.tolist() == [3, 2, 1, 0]
    assert found.measured[1].tolist() == [5, 5, 10, 10]
    assert rejected == 0


def test_unsound_and_weak_instances_are_left_out(make_instances: MakeInstances) -> None:
    sound = [0, 0, 10, 10]
    boxes = [sound, [math.nan, 0, 10, 10], [0, 0, math.inf, 10], [5, 5, 5, 10], sound, sound]
    found, rejected = detections_from_instances(
        make_instances(boxes, scores=[0.9, 0.9, 0.9, 0.9, math.nan, 0.05]), 0.1
    )
    assert found.index.tolist() == [0]
    assert rejected == 4


def test_outlines_are_the_masks_under_the_boxes(make_instances: MakeInstances) -> None:
    soft = np.zeros((3, 40, 40), np.uint8)
    soft[0, 5:15, 5:15] = 200
    soft[1, 5:15, 7:17] = 200
    soft[2, 0:3, 0:3] = 255  # too small to compare
    boxes = [[50, 50, 150, 150], [70, 50, 170, 150], [0, 0, 30, 30]]
    found, _ = detections_from_instances(make_instances(boxes, scores=[0.9, 0.8, 0.7], soft=soft), 0.1)
    a, b, small = found.outlines
    assert a is not None
    assert (a.crop.area, a.crop.x0, a.crop.y0) == (100, 4, 4)
    assert outline_iou(a, b, (0.0, 0.0)) == pytest.approx(80 / 120)
    assert outline_iou(a, b, (20.0, 0.0)) == 1  # two cells of ten pixels
    assert math.isnan(outline_iou(a, small, (0.0, 0.0)))


def on_boxes(boxes: list[list[float]], soft: np.ndarray, frame_hw: tuple[int, int] = (400, 400)) -> Instances:
    xyxy, n = np.array(boxes, np.float32), len(boxes)
    masks = Masks(soft, BoxGrids(xyxy), frame_hw)
    return Instances(xyxy, np.linspace(0.9, 0.5, n).astype(np.float32), np.zeros(n, np.int32), masks)


def test_outlines_of_masks_on_boxes_are_compared_on_the_frame() -> None:
    """One shape, once where it is and once 20 pixels to the right; cells of 2.5 pixels there."""
    soft = np.zeros((3, 28, 28), np.uint8)
    soft[:, 7:21, 7:21] = 255
    found, _ = detections_from_instances(
        on_boxes([[50, 50, 150, 150], [70, 50, 170, 150], [0, 0, 10, 10]], soft), 0.1
    )
    a, b, small = found.outlines
    assert a is not None
    assert a.scale_xy == (2.5, 2.5)
    assert a.crop.area == 20 * 20
    assert outline_iou(a, b, (0.0, 0.0)) == pytest.approx(12 / 28)
    assert outline_iou(a, b, (20.0, 0.0)) == 1
    assert small is None


def test_outlines_of_two_grids_do_not_compare(make_instances: MakeInstances) -> None:
    box = [[50, 50, 150, 150]]
    soft = np.full((1, 40, 40), 255, np.uint8)
    outlines = [
        detections_from_instances(instances, 0.1)[0].outlines[0]
        for instances in (
            make_instances(box, soft=soft),
            make_instances(box, soft=np.full((1, 80, 80), 255, np.uint8)),
            on_boxes(box, np.full((1, 28, 28), 255, np.uint8)),
        )
    ]
    for i, a in enumerate(outlines):
        for j, b in enumerate(outlines):
            assert math.isnan(outline_iou(a, b, (0.0, 0.0))) == (i != j)
