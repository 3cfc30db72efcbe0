"""Masks on grids over their own boxes, against full pictures made by torch, torchvision and plain numpy."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco

from streamseg.masks import (
    BoxGrids,
    Masks,
    area,
    compared_scale,
    crop_iou,
    full_frame,
    mask_iou,
    polygons,
    region,
    rle,
    tight_crops,
)
from streamseg.structures import Instances

# pycocotools' own decode warns with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Soft = NDArray[np.uint8]
NEAR_HALF = 0.02
"""Levels of 255 by which float32 may lead two ways of interpolating to different sides of one half."""


def weights(pixels: int, cells: int, low: float, high: float) -> NDArray[np.float64]:
    """(pixels, cells) bilinear weights of `cells` over `low` … `high`, edges replicated."""
    centre = np.clip((np.arange(pixels) + 0.5 - low) / (high - low) * cells - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(centre[:, None] - np.arange(cells)))


def pasted(masks: Masks, k: int) -> NDArray[np.float64]:
    """(H, W) soft values of the whole frame, in double precision, nothing left out."""
    assert isinstance(masks.grid, BoxGrids)
    cells = masks.soft[k].astype(np.float64)
    if masks.finer > 1:
        cells = cv2.resize(cells, None, fx=masks.finer, fy=masks.finer, interpolation=cv2.INTER_LINEAR)
    x1, y1, x2, y2 = masks.grid.extent(k, *cells.shape)
    (height, width), (rows, columns) = masks.frame_hw, (side + 2 for side in cells.shape)
    return weights(height, rows, y1, y2) @ np.pad(cells, 1) @ weights(width, columns, x1, x2).T


def sides(rng: np.random.Generator, kind: str, pixels: int) -> tuple[float, float]:
    """Both ends of a box along one axis of a frame."""
    if kind == "tiny":
        low = rng.uniform(-1, pixels)
        return low, low + rng.uniform(0.01, 1)
    if kind == "huge":
        return rng.uniform(-1e5, 0), pixels + rng.uniform(0, 1e5)
    if kind == "whole":
        low = int(rng.integers(-3, pixels))
        return low, low + int(rng.integers(1, 40))
    low, high = np.sort(rng.uniform(-0.5 * pixels, 1.5 * pixels, 2))
    return float(low), float(high) + 1e-3


@st.composite
def box_instances(draw: st.DrawFn) -> Instances:
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    rows, columns = draw(st.sampled_from([(28, 28), (14, 14), (1, 1), (5, 9), (7, 2)]))
    paste = draw(st.sampled_from(["continuous", "torchvision"]))
    kinds = draw(st.lists(st.sampled_from(["tiny", "huge", "whole", "any"]), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    boxes = np.array(
        [[*zip(sides(rng, kind, width), sides(rng, kind, height), strict=True)] for kind in kinds]
    )
    xyxy = boxes.reshape(-1, 4).astype(np.float32)
    n = len(xyxy)
    soft = rng.integers(0, 256, (n, rows, columns)).astype(np.uint8)
    if draw(st.booleans()):
        soft = np.where(soft > 90, 255, 0).astype(np.uint8)
    finer = draw(st.sampled_from([1, 1, 3])) if paste == "continuous" else 1
    slope = draw(st.sampled_from([None, 15.0]))
    clipped = np.clip(xyxy, 0, [width, height] * 2).astype(np.float32)
    masks = Masks(soft, BoxGrids(xyxy, paste), (height, width), finer, slope)
    return Instances(clipped, np.ones(n, np.float32), np.zeros(n, np.int32), masks)


@given(box_instances())
@settings(max_examples=400, deadline=None)
def test_every_pixel_is_that_of_the_pasted_picture(instances: Instances) -> None:
    masks = instances.masks
    for k, bits in enumerate(instances.pixels.regions):
        got = full_frame(masks, instances.xyxy, k)
        assert np.count_nonzero(got) == np.count_nonzero(bits.bits)
        soft = pasted(masks, k)
        differ = got != (soft >= masks.half)
        assert np.abs(soft[differ] - masks.half).max(initial=0) < NEAR_HALF


@given(box_instances())
@settings(max_examples=200, deadline=None)
def test_rle_area_region_and_polygons_are_of_those_pixels(instances: Instances) -> None:
    masks, xyxy = instances.masks, instances.xyxy
    for k, shared in enumerate(instances.pixels.rles):
        frame = full_frame(masks, xyxy, k)
        got = rle(masks, xyxy, k)
        assert got == shared
        assert got["counts"].encode() == coco.encode(np.asfortranarray(frame.view(np.uint8)))["counts"]
        assert area(masks, xyxy, k) == instances.pixels.areas[k] == np.count_nonzero(frame)
        (x0, y0), bits = region(masks, xyxy, k)
        np.testing.assert_array_equal(frame[y0 : y0 + bits.shape[0], x0 : x0 + bits.shape[1]], bits)
        assert bits.any() or bits.shape == (0, 0)
        filled = np.zeros(frame.shape, np.uint8)
        if rings := polygons(masks, xyxy, k, tolerance_px=0):
            cv2.fillPoly(filled, [(ring - 0.5).astype(np.int32) for ring in rings], 1)
        assert not (filled.view(np.bool_) & ~frame).any()


def blobs(n: int, cells: int, seed: int) -> Soft:
    """Smooth shapes such as mask heads draw, some cut by the box's edge."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, cells, cells))
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), cells / 8) for one in noise])
    return np.clip(127.5 + 900 * smooth, 0, 255).astype(np.uint8)


def boxes_in(n: int, frame_hw: tuple[int, int], seed: int, whole: bool = False) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    height, width = frame_hw
    low = rng.uniform(0, 0.9, (n, 2)) * (width, height)
    size = np.exp(rng.uniform(np.log(2), np.log(height), (n, 2)))
    xyxy = np.clip(np.hstack([low, low + size]), 0, [width, height] * 2)
    return (np.round(xyxy) if whole else xyxy).astype(np.float32)


FRAME_HW = 480, 640


@pytest.mark.parametrize("whole", [False, True])
def test_torchvision_paste_is_torchvisions_own(whole: bool) -> None:
    """Every pixel but those within float32's rounding of one half, 4 of 535,690 and 3 of 539,458 here, with
    boxes of any size from 2 pixels to the frame's, clipped to the frame as torchvision clips them."""
    torch = pytest.importorskip("torch")
    roi_heads = pytest.importorskip("torchvision.models.detection.roi_heads")
    n = 200
    soft, xyxy = blobs(n, 28, 1), boxes_in(n, FRAME_HW, 2, whole)
    probability = torch.from_numpy(soft).float()[:, None] / 255
    theirs = roi_heads.paste_masks_in_image(probability, torch.from_numpy(xyxy), FRAME_HW)[:, 0].numpy()
    masks = Masks(soft, BoxGrids(xyxy, "torchvision"), FRAME_HW)
    differing = pixels = 0
    for k in range(n):
        ours = full_frame(masks, xyxy, k)
        differ = ours != (theirs[k] > 0.5)
        assert np.abs(theirs[k][differ] - 0.5).max(initial=0) < 1e-5
        differing += int(np.count_nonzero(differ))
        pixels += int(np.count_nonzero(ours))
    assert pixels > 500_000
    assert differing <= 1e-5 * pixels


@pytest.mark.parametrize("whole", [False, True])
def test_continuous_paste_is_grid_sample(whole: bool) -> None:
    """As mmdet and detectron2 paste: grid_sample with align_corners=False and zeros around, then ≥ 0.5."""
    torch = pytest.importorskip("torch")
    n, (height, width) = 100, FRAME_HW
    soft, xyxy = blobs(n, 28, 3), boxes_in(n, FRAME_HW, 4, whole)
    masks = Masks(soft, BoxGrids(xyxy), FRAME_HW)
    x, y = (torch.arange(side, dtype=torch.float64) + 0.5 for side in (width, height))
    for k, (x1, y1, x2, y2) in enumerate(xyxy.astype(np.float64).tolist()):
        if x2 <= x1 or y2 <= y1:
            continue
        at = torch.stack(
            torch.meshgrid((x - x1) / (x2 - x1) * 2 - 1, (y - y1) / (y2 - y1) * 2 - 1, indexing="xy"), -1
        )
        theirs = torch.nn.functional.grid_sample(
            torch.from_numpy(soft[None, k : k + 1] / 255), at[None], align_corners=False
        )[0, 0].numpy()
        differ = full_frame(masks, xyxy, k) != (theirs >= 0.5)
        assert np.abs(theirs[differ] - 0.5).max(initial=0) < 1e-5


def test_a_full_mask_is_its_box_and_the_two_ways_of_pasting_differ() -> None:
    soft = np.full((1, 28, 28), 255, np.uint8)
    xyxy = np.array([[10, 20, 22, 44]], np.float32)
    for paste, want in (("continuous", (10, 20, 12, 24)), ("torchvision", (9, 20, 14, 24))):
        (x, y), bits = region(Masks(soft, BoxGrids(xyxy, paste), (60, 60)), xyxy, 0)
        assert (x, y, *bits.shape[::-1]) == want
        assert bits.all()


def test_the_half_is_inside_for_one_and_outside_for_the_other() -> None:
    """The left side runs through pixel centres: those have exactly half of a full cell."""
    soft = np.full((1, 4, 4), 255, np.uint8)
    box = np.array([[10.5, 10.0, 20.5, 20.0]], np.float32)
    (x, _), bits = region(Masks(soft, BoxGrids(box), (40, 40)), box, 0)
    assert (x, bits.shape[1]) == (10, 11)
    (_, y), bits = region(Masks(soft, BoxGrids(box[:, [1, 0, 3, 2]].copy()), (40, 40)), box, 0)
    assert (y, bits.shape[0]) == (10, 11)


def test_logits_are_interpolated_as_logits() -> None:
    """A steep edge: in logits it lies where they cross 0, in probabilities in the middle."""
    slope = 15.0
    logits = np.array([[[-1.0, 7.0]]])
    as_logits = np.round(128 + slope * logits).astype(np.uint8)
    as_probability = np.round(255 / (1 + np.exp(-logits))).astype(np.uint8)
    where = []
    for soft, logit_slope in ((as_logits, slope), (as_probability, None)):
        masks = Masks(soft, (100.0, 10.0), (10, 200), logit_slope=logit_slope)
        (x, _), bits = region(masks, np.array([[0, 0, 200, 10]], np.float32), 0)
        assert bits.all()
        where.append(x)
    assert where == [62, 81]  # 50 + 100 / 8 = 62.5; 50 + 100 · (127.5 − 69) / (255 − 69) = 81.5


def test_boxes_without_area_or_end_have_no_pixel() -> None:
    nan, inf = float("nan"), float("inf")
    xyxy = np.array(
        [[5, 5, 5, 9], [9, 5, 5, 9], [nan, 0, 9, 9], [0, 0, inf, 9], [90, 0, 99, 9], [-9, -9, -1, -1]],
        np.float32,
    )
    masks = Masks(np.full((6, 28, 28), 255, np.uint8), BoxGrids(xyxy), (20, 20))
    assert [area(masks, xyxy, k) for k in range(6)] == [0] * 6
    assert [crop.area for crop in tight_crops(masks)] == [0] * 6


def test_selecting_keeps_masks_and_boxes_together() -> None:
    xyxy = boxes_in(5, FRAME_HW, 5)
    instances = Instances(
        xyxy, np.ones(5, np.float32), np.zeros(5, np.int32), Masks(blobs(5, 28, 6), BoxGrids(xyxy), FRAME_HW)
    )
    chosen = np.array([3, 0])
    assert instances.select(chosen).pixels.rles == [instances.pixels.rles[k] for k in chosen]
    with pytest.raises(ValueError, match=r"Masks.grid: expected 2 boxes, got 5"):
        Masks(blobs(2, 28, 6), BoxGrids(xyxy), FRAME_HW)
    with pytest.raises(ValueError, match=r"BoxGrids.xyxy: expected float32"):
        BoxGrids(xyxy.astype(np.float64))


def test_iou_of_masks_on_boxes_is_that_of_their_pixels() -> None:
    xyxy = np.array([[100, 100, 300, 260], [120, 110, 330, 280], [500, 10, 600, 50]], np.float32)
    masks = Masks(blobs(3, 28, 7), BoxGrids(xyxy), FRAME_HW)
    frames = [full_frame(masks, xyxy, k) for k in range(3)]
    crops = tight_crops(masks)
    assert compared_scale(masks) == (4.0, 4.0)
    for i, j in itertools.product(range(3), repeat=2):
        union = np.count_nonzero(frames[i] | frames[j])
        want = np.count_nonzero(frames[i] & frames[j]) / union
        assert mask_iou(masks, i, masks, j) == pytest.approx(want)
        assert crop_iou(crops[i], crops[j]) == pytest.approx(want, abs=0.03)


@given(box_instances())
@settings(deadline=None)
def test_tight_crops_are_pixels_where_the_frame_is_small(instances: Instances) -> None:
    for k, crop in enumerate(tight_crops(instances.masks)):
        pixels = region(instances.masks, instances.xyxy, k)
        assert (crop.x0, crop.y0) == pixels.origin_xy
        np.testing.assert_array_equal(crop.bits, pixels.bits)


def test_tight_crops_are_bounded_whatever_the_frame() -> None:
    xyxy = np.array([[-100, -100, 9000, 5000]], np.float32)
    [crop] = tight_crops(Masks(np.full((1, 28, 28), 255, np.uint8), BoxGrids(xyxy), (4320, 7680)))
    assert crop.bits.shape == (90, 160)
