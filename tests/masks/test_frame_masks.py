import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco

from streamseg.masks import (
    BoxGrids,
    Crop,
    FrameMasks,
    Region,
    area,
    crop_iou,
    full_frame,
    mask_iou,
    polygons,
    polygons_from_region,
    region,
    rle,
    tight_crops,
)
from streamseg.structures import Instances, Masks

# pycocotools' own decode warns with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def interpolation(pixels: int, cells: int, scale: float) -> NDArray[np.float64]:
    """(pixels, cells) weights of bilinear interpolation with half-pixel centres and replicated edges."""
    centre = np.clip((np.arange(pixels) + 0.5) / scale - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(centre[:, None] - np.arange(cells)))


def upsampled(masks: Masks, k: int) -> NDArray[np.float64]:
    """(H, W) soft values of the whole frame: what masks.py must agree with, made the simple way."""
    (height, width), (mh, mw) = masks.frame_hw, masks.soft.shape[1:]
    assert not isinstance(masks.grid, BoxGrids)
    sx, sy = masks.grid
    return interpolation(height, mh, sy) @ masks.soft[k].astype(np.float64) @ interpolation(width, mw, sx).T


def assert_same_but_at_one_half(got: NDArray[np.bool_], soft: NDArray[np.float64]) -> None:
    differ = got != (soft > 127.5)
    assert np.abs(soft[differ] - 127.5).max(initial=0) < 1e-3


@st.composite
def instance_sets(draw: st.DrawFn) -> Instances:
    """Instances on small grids: blobs inside their boxes, some empty, with stretched or fitted grids."""
    mh, mw = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    scale = width / mw, height / mh
    if draw(st.booleans()):
        scale = (max(scale), max(scale))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 3))
    corners = np.sort(rng.uniform(-0.1, 1.1, (n, 2, 2)), axis=1).reshape(n, 4) * ([width, height] * 2)
    if draw(st.booleans()):
        corners = np.round(corners)
    xyxy = np.clip(corners, 0, [width, height] * 2).astype(np.float32)
    soft = rng.integers(0, 256, (n, mh, mw)).astype(np.uint8)
    if draw(st.booleans()):
        soft = np.where(soft > 100, 255, 0).astype(np.uint8)
    x, y = (np.arange(mw) + 0.5) * scale[0], (np.arange(mh) + 0.5) * scale[1]
    for mask, (x1, y1, x2, y2) in zip(soft, xyxy, strict=True):
        # Networks may leave one more cell around the box.
        mask[:, (x < x1 - scale[0]) | (x > x2 + scale[0])] = 0
        mask[(y < y1 - scale[1]) | (y > y2 + scale[1])] = 0
    masks = Masks(soft, (float(scale[0]), float(scale[1])), (height, width))
    return Instances(xyxy, np.ones(n, np.float32), np.zeros(n, np.int32), masks)


def disc(
    grid_hw: tuple[int, int], frame_hw: tuple[int, int], centre: tuple[float, float], radius: float
) -> Instances:
    """One round instance, `centre` and `radius` in pixels."""
    sx, sy = frame_hw[1] / grid_hw[1], frame_hw[0] / grid_hw[0]
    y, x = np.mgrid[: grid_hw[0], : grid_hw[1]]
    distance = np.hypot((x + 0.5) * sx - centre[0], (y + 0.5) * sy - centre[1])
    soft = np.clip(127.5 + (radius - distance) * 8, 0, 255).astype(np.uint8)[None]
    box = [[centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]]
    xyxy = np.clip(box, 0, [frame_hw[1], frame_hw[0]] * 2).astype(np.float32)
    return Instances(xyxy, np.ones(1, np.float32), np.zeros(1, np.int32), Masks(soft, (sx, sy), frame_hw))


@given(instance_sets())
@settings(max_examples=300, deadline=None)
def test_full_frame_is_the_upsampled_soft_mask_at_one_half(instances: Instances) -> None:
    for k in range(len(instances)):
        got = full_frame(instances.masks, instances.xyxy, k)
        assert got.shape == instances.masks.frame_hw
        assert got.dtype == np.bool_
        assert_same_but_at_one_half(got, upsampled(instances.masks, k))


@given(instance_sets())
@settings(deadline=None)
def test_rle_decodes_to_the_full_frame_and_is_pycocotools_own_text(instances: Instances) -> None:
    masks, xyxy = instances.masks, instances.xyxy
    for k, shared in enumerate(FrameMasks(masks, xyxy).rles):
        frame = full_frame(masks, xyxy, k)
        got = rle(masks, xyxy, k)
        assert got == shared
        assert got["size"] == list(masks.frame_hw)
        assert got["counts"].encode() == coco.encode(np.asfortranarray(frame.view(np.uint8)))["counts"]
        np.testing.assert_array_equal(coco.decode(got), frame)  # type: ignore[arg-type]
        assert area(masks, xyxy, k) == coco.area(got) == np.count_nonzero(frame)  # type: ignore[arg-type]


@given(instance_sets())
@settings(deadline=None)
def test_tight_crops_hold_exactly_what_is_set(instances: Instances) -> None:
    masks = instances.masks
    crops = tight_crops(masks)
    assert len(crops) == len(masks)
    for soft, crop in zip(masks.soft, crops, strict=True):
        want = soft >= 128
        got = np.zeros_like(want)
        got[crop.y0 : crop.y0 + crop.bits.shape[0], crop.x0 : crop.x0 + crop.bits.shape[1]] = crop.bits
        np.testing.assert_array_equal(got, want)
        assert crop.area == np.count_nonzero(want)
        edges = [crop.bits[0], crop.bits[-1], crop.bits[:, 0], crop.bits[:, -1]] if crop.area else []
        assert all(edge.any() for edge in edges)
        assert crop.area or crop.bits.shape == (0, 0)


@given(instance_sets(), st.integers(-9, 9), st.integers(-9, 9))
@settings(deadline=None)
def test_crop_iou_counts_cells_of_the_moved_grid(instances: Instances, dx: int, dy: int) -> None:
    crops = tight_crops(instances.masks)
    for i, a in enumerate(crops):
        for j, b in enumerate(crops):
            left = np.pad(instances.masks.soft[i] >= 128, 9)
            moved = np.roll(left, (dy, dx), (0, 1))
            right = np.pad(instances.masks.soft[j] >= 128, 9)
            union = np.count_nonzero(moved | right)
            want = np.count_nonzero(moved & right) / union if union else 0.0
            assert crop_iou(a, b, (dx + 0.3, dy - 0.3)) == pytest.approx(want)
            if dx == dy == 0:
                assert mask_iou(instances.masks, i, instances.masks, j) == pytest.approx(want)


@given(instance_sets())
@settings(deadline=None)
def test_polygons_fill_to_the_mask(instances: Instances) -> None:
    for k in range(len(instances)):
        frame = full_frame(instances.masks, instances.xyxy, k).view(np.uint8)
        rings = polygons(instances.masks, instances.xyxy, k, tolerance_px=0)
        assert all(ring.dtype == np.float32 and ring.shape[1] == 2 for ring in rings)
        filled = np.zeros_like(frame)
        if rings:
            cv2.fillPoly(filled, [(ring - 0.5).astype(np.int32) for ring in rings], 1)
        # What has no ring, lone pixels and lines one pixel wide, has no pixel with a full neighbourhood.
        missed = frame & ~filled
        assert not (filled & ~frame).any()
        assert not cv2.erode(missed, np.ones((2, 2), np.uint8), borderValue=0).any()


def test_polygon_of_a_ring_has_an_outer_and_an_inner_edge_within_the_tolerance() -> None:
    y, x = np.mgrid[:100, :100]
    distance = np.hypot(x - 50, y - 50)
    bits = (distance < 40) & (distance > 20)
    rings = polygons_from_region(Region((300, 200), bits), tolerance_px=1.0)
    assert len(rings) == 2
    for ring, radius in zip(sorted(rings, key=lambda r: -np.ptp(r)), (40, 20), strict=True):
        assert 8 <= len(ring) < 40
        off = np.hypot(*(ring - [350.5, 250.5]).T) - radius
        assert np.abs(off).max() < 1.5


@pytest.mark.parametrize("grid_hw", [(138, 138), (80, 112), (20, 16)])
@pytest.mark.parametrize("centre", [(640, 360), (0, 0), (1279, 719), (640, 0)])
def test_region_of_a_disc_lies_where_the_disc_is(
    grid_hw: tuple[int, int], centre: tuple[float, float]
) -> None:
    instances = disc(grid_hw, (720, 1280), centre, 200)
    (x0, y0), bits = region(instances.masks, instances.xyxy, 0)
    assert bits.shape[0] <= 720 - y0
    assert bits.shape[1] <= 1280 - x0
    y, x = np.mgrid[:720, :1280]
    want = np.hypot(x + 0.5 - centre[0], y + 0.5 - centre[1]) < 200
    got = full_frame(instances.masks, instances.xyxy, 0)
    least_iou = 0.99 if grid_hw[0] > 20 else 0.9
    assert np.count_nonzero(got & want) / np.count_nonzero(got | want) > least_iou


@pytest.mark.parametrize("frame_hw", [(720, 1280), (2160, 3840)])
def test_rle_of_a_large_frame_is_pycocotools_own_text(frame_hw: tuple[int, int]) -> None:
    instances = disc((138, 138), frame_hw, (frame_hw[1] * 0.9, frame_hw[0] * 0.5), frame_hw[0] / 3)
    instances.masks.soft[0, 60:75, 120:124] = 0
    frame = full_frame(instances.masks, instances.xyxy, 0)
    want = coco.encode(np.asfortranarray(frame.view(np.uint8)))["counts"]
    assert rle(instances.masks, instances.xyxy, 0)["counts"].encode() == want


def test_region_includes_what_interpolation_spills_over_the_box() -> None:
    soft = np.zeros((1, 10, 10), np.uint8)
    soft[0, 4, 4] = soft[0, 4, 5] = 255
    box = np.array([[45.0, 45.0, 55.0, 46.0]], np.float32)
    masks = Masks(soft, (10.0, 10.0), (100, 100))
    (x0, y0), bits = region(masks, box, 0)
    rows, columns = np.nonzero(bits)
    assert (x0 + columns.min(), x0 + columns.max()) == (40, 59)
    assert (y0 + rows.min(), y0 + rows.max()) == (40, 49)


def test_cells_far_outside_the_box_are_cut_off() -> None:
    masks = Masks(np.full((1, 20, 20), 255, np.uint8), (10.0, 10.0), (200, 200))
    (x0, y0), bits = region(masks, np.array([[80, 80, 120, 120]], np.float32), 0)
    assert 40 <= x0 <= 60
    assert 40 <= y0 <= 60
    assert bits.shape[0] <= 120
    assert bits.shape[1] <= 120


def test_the_half_is_inside_and_below_it_is_not() -> None:
    box = np.array([[0, 0, 8, 8]], np.float32)
    for value, pixels in ((128, 64), (127, 0)):
        masks = Masks(np.full((1, 4, 4), value, np.uint8), (2.0, 2.0), (8, 8))
        assert area(masks, box, 0) == pixels


def test_a_mask_that_fills_the_frame_is_two_runs() -> None:
    masks = Masks(np.full((1, 9, 16), 255, np.uint8), (80.0, 80.0), (720, 1280))
    got = rle(masks, np.array([[0, 0, 1280, 720]], np.float32), 0)
    assert got["counts"].encode() == coco.encode(np.ones((720, 1280), np.uint8, order="F"))["counts"]


def test_a_box_without_area_and_an_empty_mask_have_no_pixel() -> None:
    soft = np.zeros((2, 6, 6), np.uint8)
    soft[1, 2, 2] = 127
    masks = Masks(soft, (4.0, 4.0), (24, 24))
    xyxy = np.array([[24, 24, 24, 24], [0, 0, 24, 24]], np.float32)
    instances = Instances(xyxy, np.ones(2, np.float32), np.zeros(2, np.int32), masks)
    for part in instances.pixels.regions:
        assert part.bits.shape == (0, 0)
    for k in range(2):
        assert not full_frame(masks, xyxy, k).any()
        assert not coco.decode(rle(masks, xyxy, k)).any()  # type: ignore[arg-type]
        assert polygons(masks, xyxy, k) == []


def test_no_instances_give_empty_lists() -> None:
    instances = Instances.empty((720, 1280))
    shared = instances.pixels
    assert len(shared) == 0
    assert shared.regions == shared.rles == shared.areas == []
    assert tight_crops(instances.masks) == []


def test_frame_masks_upsample_once() -> None:
    shared = disc((138, 138), (720, 1280), (640, 360), 100).pixels
    assert shared.regions is shared.regions
    assert shared.areas == [np.count_nonzero(shared.regions[0].bits)]


def test_mask_iou_of_different_grids_is_counted_in_pixels() -> None:
    a = disc((138, 138), (720, 1280), (640, 360), 100)
    b = disc((80, 112), (720, 1280), (660, 360), 100)
    first, second = (full_frame(x.masks, x.xyxy, 0) for x in (a, b))
    want = np.count_nonzero(first & second) / np.count_nonzero(first | second)
    assert 0.7 < want < 0.8
    assert mask_iou(a.masks, 0, b.masks, 0) == want


def test_mask_iou_across_frame_sizes_is_refused() -> None:
    a = disc((138, 138), (720, 1280), (640, 360), 100).masks
    b = disc((138, 138), (720, 1281), (640, 360), 100).masks
    with pytest.raises(ValueError, match=r"frames of \(720, 1280\) and \(720, 1281\)"):
        mask_iou(a, 0, b, 0)


def test_empty_crops_overlap_nothing() -> None:
    empty = Crop(0, 0, np.zeros((0, 0), np.bool_))
    full = Crop(2, 3, np.ones((4, 4), np.bool_))
    assert crop_iou(empty, empty) == crop_iou(empty, full) == crop_iou(full, empty, (5.0, 5.0)) == 0.0
    assert crop_iou(full, full, (2.0, 0.0)) == pytest.approx(8 / 24)


def test_a_finer_grid_is_drawn_in_two_steps() -> None:
    """As SOLOv2 defines its masks: to the network's input (4 times the grid), then to the picture."""
    rng = np.random.default_rng(4)
    soft = cv2.resize(rng.integers(0, 256, (6, 8), np.uint8), (40, 30), interpolation=cv2.INTER_CUBIC)[None]
    soft[0, :2] = soft[0, -2:] = soft[0, :, :2] = soft[0, :, -2:] = 0
    masks = Masks(soft, (333 / 40, 250 / 30), (250, 333), finer=4)
    fine = cv2.resize(soft[0].astype(np.float32), (160, 120), interpolation=cv2.INTER_LINEAR)
    expected = cv2.resize(fine, (333, 250), interpolation=cv2.INTER_LINEAR) >= 127.5
    box = np.array([[0, 0, 333, 250]], np.float32)
    drawn = full_frame(masks, box, 0)
    assert expected.sum() > 1000
    assert np.count_nonzero(drawn != expected) <= 0.001 * expected.sum()
    coarse = full_frame(Masks(soft, masks.grid, masks.frame_hw), np.array([[0, 0, 333, 250]], np.float32), 0)
    assert np.count_nonzero(coarse != drawn) > 0
