"""Samples of one data set: each place of a run has its own, whoever makes it."""

from itertools import islice

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle_codec

from streamseg.datasets.coco import Annotation, CocoImage, read_coco
from streamseg.datasets.photo_set import PhotoSet
from streamseg.training.augment import region_of_item
from streamseg.training.photos import load_photo
from streamseg.training.single_set import Order, SingleSet, Views, stream_batches

SIZE_HW = (64, 96)


@pytest.fixture
def recipe(data_dir):
    folder = data_dir / "cats_feral"
    dataset = read_coco(folder / "instances.json", folder / "images")
    return Views(dataset.images, dataset.classes, SIZE_HW, "stretch", (1, 2, 3), seed=5)


def test_a_sample_depends_on_its_place_alone(recipe):
    one, other = SingleSet(recipe), SingleSet(recipe)
    other[7, 2]

    first, again = one[3, 1], other[3, 1]

    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(first.image, one[4, 1].image)
    assert first.name == "1.png"


def test_every_picture_once_an_epoch_in_another_order():
    batches = list(islice(Order(images=10, batch=5, seed=1), 4))

    epochs = [[number for _, number in batches[0] + batches[1]], [n for _, n in batches[2] + batches[3]]]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]
    assert [place for batch in batches for place, _ in batch] == list(range(20))


def test_ranks_share_the_order_and_a_resumed_run_goes_on_in_it():
    whole = list(islice(Order(images=7, batch=4, seed=1), 5))
    left, right = (list(islice(Order(7, 2, 1, rank, 2), 5)) for rank in range(2))

    assert [a + b for a, b in zip(left, right, strict=True)] == whole
    assert next(iter(Order(7, 4, 1, first=3))) == whole[3]


def test_masks_follow_the_picture(recipe):
    for sample in (SingleSet(recipe)[k, k % 10] for k in range(20)):
        assert sample.image.shape == (*SIZE_HW, 3)
        assert sample.masks.shape[1:] == (16, 24)
        assert sample.segments.shape[1:] == (8, 12)
        for mask, box, centre in zip(sample.masks, sample.boxes, sample.centres, strict=True):
            low, high = box.reshape(2, 2) * (96, 64)
            assert (low <= centre).all()
            assert (centre <= high).all()
            assert (mask > 128).sum() >= 0.5 * (box[2] - box[0]) * (box[3] - box[1]) * 16 * 24 - 12


@pytest.mark.slow
def test_batches_of_another_process_are_the_same(recipe):
    here, there = (next(stream_batches(recipe, Order(10, 3, 5), workers)) for workers in (0, 1))

    assert here.names == there.names
    np.testing.assert_array_equal(here.images.numpy(), there.images.numpy())
    np.testing.assert_array_equal(here.centres[0].numpy(), there.centres[0].numpy())


def test_holes_of_a_mask_stay_holes_and_overlapping_parts_a_union(tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[10:50, 10:60] = 1
    mask[20:40, 20:45] = 0
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 80, 3), np.uint8))
    rle = rle_codec.encode(np.asfortranarray(mask))
    parts = tuple(np.array([[x, 10], [x + 30, 10], [x + 30, 50], [x, 50]], np.float32) for x in (10, 30))
    image = CocoImage(
        1,
        tmp_path / "a.png",
        (60, 80),
        (Annotation("a", False, (), rle, 1.0), Annotation("a", False, parts, None, 1.0)),
    )

    photo = load_photo(image, PhotoSet("", 1, 0, ""), ("a",), np.ones(1, bool))

    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    holed, whole = (region_of_item(item, identity, (60, 80)) for item in photo.items)
    np.testing.assert_array_equal(holed.mask > 0, mask > 0)
    assert holed.whole_area == pytest.approx(mask.sum(), rel=0.03)
    assert (whole.mask > 0).sum() == 50 * 40
