import cv2
import numpy as np
import pytest

from streamseg.masks import full_frame
from streamseg.overlay.labels import style_for
from streamseg.overlay.painter import Painter
from streamseg.overlay.palette import PALETTE
from streamseg.overlay.tint import OPACITY
from streamseg.structures import Instances, Tracks

NAMES = ("person", "traffic light", "Žluťoučký kůň")
SIZE = (480, 640)


def near_edges(masks: list[np.ndarray], reach: int) -> np.ndarray:
    """Pixels within `reach` of the edge of any mask."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    near = np.zeros(masks[0].shape, np.bool_)
    for mask in masks:
        grid = np.pad(mask.view(np.uint8), reach)
        near |= (cv2.dilate(grid, kernel) != cv2.erode(grid, kernel))[reach:-reach, reach:-reach]
    return near


def full_masks(instances: Instances) -> list[np.ndarray]:
    return [full_frame(instances.masks, instances.xyxy, k) for k in range(len(instances))]


def test_masks_are_tinted_by_the_blend_and_all_else_is_left(make_frame, make_instances, make_tracks) -> None:
    frame = make_frame(SIZE)
    instances = make_instances(SIZE, [[80, 160, 240, 320], [160, 240, 400, 400], [480, 400, 600, 440]])
    before = frame.image.copy()
    canvas = Painter().draw(frame, instances, make_tracks(instances), NAMES)

    masks, height = full_masks(instances), style_for(SIZE).height
    skip = near_edges(masks, 4)
    for x1, y1, _, _ in instances.xyxy.astype(int).tolist():
        skip[y1 - height : y1, x1 : x1 + SIZE[1] // 3] = True
    top = np.select(masks, [1, 2, 3])  # the highest score first: it lies on top
    for value in range(4):
        where = (top == value) & ~skip
        assert where.sum() > 2000
        want = before[where].astype(float)
        if value:
            want = want * (1 - OPACITY) + np.array(PALETTE[value - 1]) * OPACITY
        assert np.abs(canvas[where] - want).max() <= (1 if value else 0)
    np.testing.assert_array_equal(frame.image, before)
    assert canvas.flags.writeable
    assert not np.shares_memory(canvas, frame.image)


def test_outlines_are_drawn_in_the_colour_of_the_track_also_around_holes(
    make_frame, make_instances, make_tracks
) -> None:
    frame = make_frame(SIZE)
    instances = make_instances(SIZE, [[80, 80, 400, 400]])
    instances.masks.soft[0, 25:35, 25:35] = 0
    canvas = Painter().draw(frame, instances, make_tracks(instances, [9]), NAMES)
    colour = np.array(PALETTE[8])
    for x, y in ((80, 240), (399, 240), (240, 399), (199, 240), (280, 240), (240, 280)):
        assert np.abs(canvas[y, x].astype(int) - colour).max() <= 12, (x, y)
    hole = canvas[210:270, 210:270]
    np.testing.assert_array_equal(hole, frame.image[210:270, 210:270])


def test_a_ragged_mask_is_edged_pixel_by_pixel(make_frame, make_instances, make_tracks) -> None:
    """Ten bars of 8 pixels: the outermost of each has the colour, what is further in the tint."""
    frame, instances = make_frame((160, 240)), make_instances((160, 240), [[40.0, 0.0, 200.0, 160.0]])
    instances.masks.soft[0, 1::2] = 0
    assert style_for(frame.size_hw).line == 1
    canvas = Painter().draw(frame, instances, make_tracks(instances), NAMES)
    region = instances.pixels.regions[0]
    bits = np.pad(region.bits, 1)
    inner = bits[1:-1, 1:-1] & bits[2:, 1:-1] & bits[:-2, 1:-1] & bits[1:-1, 2:] & bits[1:-1, :-2]
    x, y = region.origin_xy
    part = canvas[y : y + inner.shape[0], x : x + inner.shape[1]]
    colour = PALETTE[0]
    below_label = np.s_[48:, 10:-10]
    edge = (region.bits & ~inner)[below_label]
    assert edge.sum() > 1000
    assert (part[below_label][edge] == colour).all()
    assert not (part[below_label][~edge] == colour).all(axis=1).any()


def test_higher_scores_lie_on_top_whatever_the_order(make_frame, make_instances, make_tracks) -> None:
    frame = make_frame(SIZE)
    boxes = [[160, 160, 320, 320], [160, 160, 320, 320]]
    for scores, top in (([0.4, 0.8], 2), ([0.8, 0.4], 1)):
        instances = make_instances(SIZE, boxes, scores)
        canvas = Painter().draw(frame, instances, make_tracks(instances), NAMES)
        want = frame.image[250, 250] * (1 - OPACITY) + np.array(PALETTE[top - 1]) * OPACITY
        assert np.abs(canvas[250, 250] - want).max() <= 1


def test_colours_stay_with_the_track_from_frame_to_frame(make_frame, make_instances, make_tracks) -> None:
    painter, frame = Painter(), make_frame(SIZE)
    first = make_instances(SIZE, [[80, 80, 160, 160], [400, 240, 480, 320]])
    second = make_instances(SIZE, [[400, 240, 480, 320], [80, 80, 160, 160]])
    a = painter.draw(frame, first, make_tracks(first, [3, 14]), NAMES)
    b = painter.draw(frame, second, make_tracks(second, [14, 3]), NAMES)
    for x, y in ((120, 120), (440, 280)):
        np.testing.assert_array_equal(a[y, x], b[y, x])


def test_an_instance_without_a_mask_is_shown_by_its_box(make_frame, make_instances, make_tracks) -> None:
    frame = make_frame(SIZE)
    instances = make_instances(SIZE, [[80, 160, 240, 320]])
    instances.masks.soft[:] = 0
    canvas = Painter().draw(frame, instances, make_tracks(instances), NAMES)
    assert canvas[240, 80].tolist() == list(PALETTE[0])
    assert canvas[240, 239].tolist() == list(PALETTE[0])
    np.testing.assert_array_equal(canvas[180:300, 100:220], frame.image[180:300, 100:220])


def test_nothing_found_leaves_the_picture_but_for_the_status(make_frame) -> None:
    frame, empty = make_frame(SIZE), Instances.empty(SIZE)
    tracks = Tracks.untracked(empty)
    canvas = Painter(trail_seconds=1.0).draw(frame, empty, tracks, NAMES)
    np.testing.assert_array_equal(canvas, frame.image)
    canvas = Painter().draw(frame, empty, tracks, NAMES, status="29.9 fps, age 40 ms")
    changed = (canvas != frame.image).any(2)
    height = style_for(SIZE).height
    assert changed[:height, :40].mean() > 0.9
    assert not changed[height:].any()


@pytest.mark.parametrize("size_hw", [(240, 320), (720, 1280), (2160, 3840), (64, 48)])
def test_one_painter_serves_frames_of_any_size_with_many_instances(
    size_hw: tuple[int, int], make_frame, make_instances, make_tracks
) -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(-0.2, 1.2, (60, 2, 2))
    boxes = np.clip(np.sort(corners, axis=1).reshape(60, 4), 0, 1) * ([size_hw[1], size_hw[0]] * 2)
    instances = make_instances(size_hw, (boxes // 8 * 8).tolist())
    painter = Painter(trail_seconds=1.0)
    for n in range(2):
        frame = make_frame(size_hw, pts_seconds=n / 10)
        canvas = painter.draw(frame, instances, make_tracks(instances), NAMES, status="1 fps")
        assert canvas.shape == (*size_hw, 3)
        assert canvas.dtype == np.uint8


def test_a_trail_follows_its_track_per_source(make_frame, make_instances, make_tracks) -> None:
    painter, size = Painter(trail_seconds=5.0), (720, 1280)
    for n in range(6):
        instances = make_instances(size, [[80 + 64 * n, 240, 144 + 64 * n, 304]])
        frame = make_frame(size, pts_seconds=float(n))
        canvas = painter.draw(frame, instances, make_tracks(instances), NAMES)
    other = painter.draw(make_frame(size, 0.0, "other"), instances, make_tracks(instances), NAMES)
    line = canvas[271:273, 140:380].astype(int)
    assert np.abs(line - np.array(PALETTE[0])).max() <= 12
    np.testing.assert_array_equal(other[271:273, 140:380], frame.image[271:273, 140:380])


def test_arguments_of_different_frames_are_refused(make_frame, make_instances, make_tracks) -> None:
    instances = make_instances(SIZE, [[80, 160, 240, 320]])
    with pytest.raises(ValueError, match=r"\(480, 640\) frame on one of \(240, 320\)"):
        Painter().draw(make_frame((240, 320)), instances, make_tracks(instances), NAMES)
    with pytest.raises(ValueError, match="0 tracks for 1 instances"):
        Painter().draw(
            make_frame(SIZE), instances, make_tracks(instances.select(np.zeros(0, np.intp))), NAMES
        )
