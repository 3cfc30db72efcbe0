"""Annotations made of masks: outlines that cover what the mask covers, boxes around them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.datasets.labels import annotations_from_instances
from streamseg.masks import Masks, Region, outer_rings
from streamseg.structures import Instances


def test_outlines_cover_what_the_mask_covers() -> None:
    """Two ellipses and a speck; of one the middle is missing, which polygons cannot say."""
    bits: NDArray[np.uint8] = np.zeros((60, 100), np.uint8)
    cv2.ellipse(bits, (25, 30), (20, 12), 20, 0, 360, 1, -1)
    cv2.ellipse(bits, (75, 30), (15, 20), 0, 0, 360, 1, -1)
    whole = bits.copy()
    cv2.circle(bits, (75, 30), 5, 0, -1)
    bits[2, 50] = 1

    rings = outer_rings(Region((200, 100), bits.astype(bool)))

    assert len(rings) == 2
    assert all(len(ring) < 40 for ring in rings)
    drawn: NDArray[np.uint8] = np.zeros((240, 400), np.uint8)  # four times as fine
    for ring in rings:
        cv2.fillPoly(drawn, [np.round((ring - (200, 100)) * 4 - 0.5).astype(np.int32)], 1)
    wanted = cv2.resize(whole, (400, 240), interpolation=cv2.INTER_NEAREST)
    shared = (drawn & wanted).sum() / (drawn | wanted).sum()
    assert shared > 0.95
    # An outline half a pixel inside would lose more than a twentieth; this one is as large as what it is of.
    assert drawn.sum() / wanted.sum() == pytest.approx(1, abs=0.02)


def test_boxes_and_names_and_instances_without_pixels() -> None:
    soft: NDArray[np.uint8] = np.zeros((2, 10, 10), np.uint8)
    soft[0, 2:6, 3:8] = 255
    boxes = np.array([[30, 20, 80, 60], [0, 0, 50, 50]], np.float32)
    scores, classes = np.array([0.9, 0.8], np.float32), np.array([1, 0], np.int32)

    (only,) = annotations_from_instances(
        Instances(boxes, scores, classes, Masks(soft, (10.0, 10.0), (100, 100))), ("cup", "person")
    )

    assert only.class_name == "person"
    assert not only.crowd
    assert only.xywh == pytest.approx((30, 20, 50, 40), abs=1.5)
    assert only.area == pytest.approx(2000, rel=0.06)
    assert np.concatenate(only.polygons).min(axis=0).tolist() == [only.xywh[0], only.xywh[1]]


def test_nothing_to_outline() -> None:
    assert outer_rings(Region((0, 0), np.zeros((0, 0), np.bool_))) == ()
