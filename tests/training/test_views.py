"""Which part of a photograph is seen, and what is pasted over it."""

import numpy as np
import pytest

from streamseg.training.augment import draw_view, window_matrix
from streamseg.training.canvas import Canvas, Patch
from streamseg.training.photos import Item, Photo
from streamseg.training.single_set import as_in_use
from streamseg.training.views import copy_paste, expanded_or_cropped, scale_jittered

SIZE_HW = (64, 96)
COUNTED = np.ones(2, bool)


@pytest.fixture
def photo():
    """120 × 80 pixels, grey, with a white square of 20 in its lower right."""
    image = np.full((80, 120, 3), 90, np.uint8)
    image[50:70, 90:110] = 255
    ring = np.array([[90, 50], [110, 50], [110, 70], [90, 70]], np.float32)
    return Photo(image, (Item(1, False, (ring,)),), COUNTED, "p.jpg")


def windows(photo):
    rng = np.random.default_rng(0)
    return [expanded_or_cropped(rng, photo) for _ in range(400)]


def test_views_are_between_a_quarter_and_three_times_the_size(photo):
    sides = np.array([window.size / (120, 80) for window in windows(photo)])

    assert sides.min() >= 0.3
    assert sides.max() <= 4
    assert (sides > 1).any(axis=1).mean() == pytest.approx(0.45, abs=0.1)
    whole = [(*window.corner, *window.size) == (0, 0, 120, 80) for window in windows(photo)]
    assert np.mean(whole) == pytest.approx(1 / 12, abs=0.04)  # not expanded, and not cropped


def test_every_view_holds_the_centre_of_an_object(photo):
    for window in windows(photo):
        assert ((window.corner < (100, 60)) & (window.corner + window.size > (100, 60))).all()


def test_scale_jitter_keeps_the_aspect_and_the_corner(photo):
    rng = np.random.default_rng(0)
    fits = min(96 / 120, 64 / 80)
    scales = []
    for _ in range(200):
        corner, size = scale_jittered(rng, photo, SIZE_HW)
        scale = 96 / size[0]
        assert 64 / size[1] == pytest.approx(scale)
        scales.append(scale / fits)
        smaller = size >= (120, 80)
        assert (corner[smaller] == 0).all()
        assert (corner[~smaller] >= 0).all()
        assert (corner + size <= np.maximum(size, (120, 80)) + 1e-9).all()
    assert 0.5 <= min(scales) < 0.6
    assert 1.8 < max(scales) <= 2


@pytest.mark.parametrize(("resize", "right", "bottom"), [("stretch", 110 * 0.8, 70 * 0.8), ("fit", 88, 56)])
def test_a_view_without_augmentation_is_the_engines(photo, resize, right, bottom):
    canvas = draw_view(
        photo, window_matrix(*as_in_use(photo, SIZE_HW, resize), SIZE_HW, mirror=False), SIZE_HW, (1, 2, 3)
    )

    rows, columns = np.nonzero(canvas.regions[0].mask)
    assert (columns.max() + 1, rows.max() + 1) == (right, bottom)
    assert canvas.name == "p.jpg"


def test_fit_leaves_the_rest_to_the_fill_colour(photo):
    tall = (128, 96)

    canvas = draw_view(
        photo, window_matrix(*as_in_use(photo, tall, "fit"), tall, mirror=False), tall, (1, 2, 3)
    )

    assert canvas.image[70, 40].tolist() == [1, 2, 3]
    assert canvas.image[60, 40].tolist() == [90, 90, 90]


def region(x, y, side=16, *, ignore=False):
    mask = np.zeros(SIZE_HW, np.uint8)
    mask[y : y + side, x : x + side] = 255
    return Patch(0, ignore, mask, float(side * side))


def test_pasted_objects_lie_above_and_hide_what_is_below():
    canvas = Canvas(np.zeros((*SIZE_HW, 3), np.uint8), COUNTED, [region(8, 8)])
    objects = [region(16, 8), region(40, 8, ignore=True)]
    other = Canvas(np.full((*SIZE_HW, 3), 200, np.uint8), COUNTED, objects)
    rng = np.random.default_rng(0)
    while len(canvas.regions) == 1:
        copy_paste(rng, canvas, other)

    below, above = canvas.regions
    assert below.mask[10, 8:24].tolist() == [255] * 8 + [0] * 8
    assert (above.mask == other.regions[0].mask).all()
    assert canvas.image[12, 20].tolist() == [200, 200, 200]
    assert canvas.image[12, 45].tolist() == [0, 0, 0]
    assert 0 < canvas.image[12, 16, 0] < 200  # its edge is soft


def test_each_object_is_pasted_half_of_the_time():
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(200):
        canvas = Canvas(np.zeros((*SIZE_HW, 3), np.uint8), COUNTED)
        copy_paste(rng, canvas, Canvas(canvas.image, COUNTED, [region(8, 8), region(40, 8)]))
        counts.append(len(canvas.regions))

    assert np.bincount(counts).tolist() == pytest.approx([50, 100, 50], abs=25)
