"""Pictures in the making: what hides what, and what is left of it."""

import numpy as np
import pytest

from streamseg.training.augment import (
    jitter_colours,
    paste_item,
    region_of_item,
    view_of_item,
    view_of_photo,
    warp,
)
from streamseg.training.canvas import Canvas, Patch
from streamseg.training.photos import Item, Photo

SIZE_HW = (64, 96)
COUNTED = np.ones(3, bool)


def square(class_id: int = 0, x: int = 8, y: int = 8, side: int = 16) -> Patch:
    mask = np.zeros(SIZE_HW, np.uint8)
    mask[y : y + side, x : x + side] = 255
    return Patch(class_id, False, mask, float(side * side))


def blank() -> Canvas:
    return Canvas(np.zeros((*SIZE_HW, 3), np.uint8), COUNTED)


def test_sample_of_one_square() -> None:
    canvas = blank()
    canvas.regions.append(square(class_id=2))

    sample = canvas.sample((16, 24))

    np.testing.assert_allclose(sample.boxes, [[8 / 96, 8 / 64, 24 / 96, 24 / 64]], rtol=1e-6)
    assert sample.classes.tolist() == [2]
    assert sample.masks.shape == (1, 16, 24)
    assert np.argwhere(sample.masks[0] == 255).min(axis=0).tolist() == [2, 2]
    assert (sample.masks[0] == 255).sum() == 16
    assert len(sample.ignored) == 0


def test_a_pasted_object_hides_what_is_below() -> None:
    canvas = blank()
    canvas.regions.append(square())
    cover = square(class_id=1, x=16)

    canvas.paste(np.full((*SIZE_HW, 3), 200, np.uint8), cover.mask, cover)

    below, above = canvas.sample((16, 24)).boxes * [96, 64, 96, 64]
    assert below.tolist() == pytest.approx([8, 8, 16, 24])
    assert above.tolist() == pytest.approx([16, 8, 32, 24])
    assert canvas.image[10, 20].tolist() == [200, 200, 200]
    assert canvas.image[10, 10].tolist() == [0, 0, 0]


def test_what_is_hidden_too_much_is_ignored() -> None:
    canvas = blank()
    canvas.regions.append(square())
    cover = square(class_id=1, x=11)

    canvas.paste(np.zeros((*SIZE_HW, 3), np.uint8), cover.mask, cover)

    sample = canvas.sample((16, 24))
    assert sample.classes.tolist() == [1]
    np.testing.assert_allclose(sample.ignored, [[8 / 96, 8 / 64, 11 / 96, 24 / 64]], rtol=1e-6)


def test_what_is_hidden_wholly_leaves_no_trace() -> None:
    canvas = blank()
    canvas.regions.append(square())
    cover = square(class_id=1)

    canvas.paste(np.zeros((*SIZE_HW, 3), np.uint8), cover.mask, cover)

    sample = canvas.sample((16, 24))
    assert (len(sample.boxes), len(sample.ignored)) == (1, 0)


def test_identity_warp_keeps_every_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 255, (*SIZE_HW, 3), np.uint8)

    np.testing.assert_array_equal(warp(image, np.eye(3)[:2], SIZE_HW, (0, 0, 0)), image)


def test_warp_and_polygon_go_to_the_same_place() -> None:
    image = np.zeros((*SIZE_HW, 3), np.uint8)
    image[20:40, 30:60] = 255
    polygon = np.array([[30, 20], [60, 20], [60, 40], [30, 40]], np.float32)
    matrix = np.array([[-0.9, 0.2, 80.0], [0.1, 1.3, -12.0]])

    warped = warp(image, matrix, SIZE_HW, (0, 0, 0))[..., 0] >= 128
    mask = region_of_item(Item(0, False, (polygon,)), matrix, SIZE_HW).mask > 0

    assert (warped & mask).sum() / (warped | mask).sum() > 0.9


def photo(class_id: int = 0) -> Photo:
    """A white square of 24 pixels on black."""
    image = np.zeros((*SIZE_HW, 3), np.uint8)
    image[20:44, 40:64] = 255
    ring = np.array([[40, 20], [64, 20], [64, 44], [40, 44]], np.float32)
    return Photo(image, (Item(class_id, False, (ring,)),), COUNTED)


@pytest.mark.parametrize("seed", range(8))
def test_views_keep_objects_and_regions_together(seed: int) -> None:
    canvas = view_of_photo(np.random.default_rng(seed), photo(), SIZE_HW)

    (region,) = canvas.regions
    white = (canvas.image > 250).all(axis=2)
    outside = white & (region.mask == 0)
    assert outside.sum() <= 0.1 * max(white.sum(), 1)


def test_a_view_of_an_object_shows_most_of_it_in_many_sizes() -> None:
    shares, sides = [], []
    for seed in range(60):
        canvas = view_of_item(np.random.default_rng(seed), photo(), photo().items[0], SIZE_HW)
        (region,) = canvas.regions
        shares.append((region.mask > 0).sum() / region.whole_area)
        sides.append(region.whole_area**0.5 / SIZE_HW[0])
    assert 0.3 < min(shares) < 0.8
    assert np.median(shares) == pytest.approx(1, abs=0.1)
    # The photograph is shrunk to 0.8 of the canvas at most: its square is then 19 pixels.
    assert min(sides) == pytest.approx(19.2 / 64, rel=0.05)
    assert 1.1 < max(sides) < 1.3


def test_small_objects_are_not_blown_up() -> None:
    ring = np.array([[40, 20], [43, 20], [43, 23], [40, 23]], np.float32)
    small = Photo(photo().image, (Item(0, False, (ring,)),), COUNTED)

    areas = [
        view_of_item(np.random.default_rng(seed), small, small.items[0], SIZE_HW).regions[0].whole_area
        for seed in range(20)
    ]

    assert max(areas) == pytest.approx(81, rel=0.1), "three pixels to one"


@pytest.mark.parametrize("seed", range(4))
def test_cut_outs_bring_their_pixels(seed: int) -> None:
    canvas = blank()

    paste_item(np.random.default_rng(seed), canvas, photo(1), photo(1).items[0])

    (region,) = canvas.regions
    assert canvas.image[region.mask > 0].mean() > 100
    assert canvas.image[region.mask == 0].mean() < 20


def test_colour_jitter_keeps_shape_and_changes_colours() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (*SIZE_HW, 3), np.uint8)

    changed = [jitter_colours(rng, image) for _ in range(8)]

    assert all(c.shape == image.shape and c.dtype == np.uint8 for c in changed)
    assert any((c != image).any() for c in changed)
