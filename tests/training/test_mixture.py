"""The stream of samples: what is in it, and that it can be had again."""

from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from streamseg.bundled.photo_sets import PHOTO_SETS, read_split
from streamseg.bundled.shapes import make_mixture
from streamseg.datasets.split import held_out
from streamseg.errors import DatasetError
from streamseg.models.yolact.catalog import CONFIGS
from streamseg.training.mixture import Mixture, batches
from streamseg.training.photos import load_photos

CLASSES = CONFIGS["yolact_lite"].classes
SIZE_HW = (96, 128)


@pytest.fixture
def mixture(data_dir: Path) -> Mixture:
    return make_mixture(data_dir, CLASSES, SIZE_HW)


def test_held_out_photographs_are_not_loaded(mixture: Mixture, data_dir: Path) -> None:
    train, out = read_split(data_dir, PHOTO_SETS[1])

    assert {image.path.name for image in out} == held_out([f"{k}.png" for k in range(10)], 0.1)
    assert not {image.path for image in train} & {image.path for image in out}
    assert [len(photos) for _, photos in mixture.photos] == [6, 9, 9, 9]
    assert sum(share for share, _ in mixture.photos) == pytest.approx(1)


@pytest.mark.slow
def test_the_same_seed_is_the_same_stream(mixture: Mixture) -> None:
    first, again, other = (next(mixture.samples(seed)) for seed in (5, 5, 6))

    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(first.image, other.image)


def test_samples_are_consistent(mixture: Mixture) -> None:
    seen: set[str] = set()
    for sample in islice(mixture.samples(0), 40):
        assert sample.image.shape == (*SIZE_HW, 3)
        assert sample.masks.shape == (len(sample.boxes), 24, 32)
        assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()
        assert sample.boxes.min(initial=0) >= 0
        assert sample.boxes.max(initial=1) <= 1
        assert sample.counted.shape == (len(CLASSES),)
        seen |= {CLASSES[k] for k in sample.classes}
    assert seen == {"person", "car", "cat", "monkey", "other", "shape"}


def test_masks_lie_in_their_boxes(mixture: Mixture) -> None:
    for sample in islice(mixture.samples(1), 15):
        for box, mask in zip(sample.boxes, sample.masks, strict=True):
            rows, columns = np.nonzero(mask)
            x1, y1, x2, y2 = box * [32, 24, 32, 24]
            assert columns.min() >= np.floor(x1 + 1e-3)
            assert columns.max() < np.ceil(x2 - 1e-3)
            assert rows.min() >= np.floor(y1 + 1e-3)
            assert rows.max() < np.ceil(y2 - 1e-3)


def test_data_sets_count_only_what_they_annotate(mixture: Mixture) -> None:
    clips, coco, cats, animals = (photos[0].counted for _, photos in mixture.photos)

    assert coco.all()
    assert not clips[CLASSES.index("person")]
    assert clips[CLASSES.index("cat")]
    assert not cats[CLASSES.index("person")]
    assert cats[CLASSES.index("cat")]
    assert not animals[CLASSES.index("cat")]
    assert animals[CLASSES.index("monkey")]


def test_things_without_a_class_are_learnt_as_other(data_dir: Path) -> None:
    mixture = make_mixture(data_dir, CLASSES, SIZE_HW)
    other = CLASSES.index("other")

    assert {
        item.class_id for _, photos in mixture.photos[:1] for photo in photos for item in photo.items
    } == {
        CLASSES.index("person"),
        CLASSES.index("car"),
        other,  # the swan
    }
    assert [bool(photos[0].counted[other]) for _, photos in mixture.photos] == [False, True, False, False]


def test_objects_of_no_trained_class_are_left_out_where_there_is_no_other(data_dir: Path) -> None:
    images, _ = read_split(data_dir, PHOTO_SETS[0])

    assert [photo.items for photo in load_photos(images[:2], PHOTO_SETS[0], ("cat",))] == [(), ()]


def test_what_clips_show_is_not_pasted(mixture: Mixture) -> None:
    names = {CLASSES[k]: len(found) for k, found in mixture.objects(whole=True).items()}
    everything = {CLASSES[k]: len(found) for k, found in mixture.objects(whole=False).items()}

    assert names == {"person": 9, "cat": 9, "monkey": 9}
    assert everything == {"person": 11, "car": 2, "other": 2, "cat": 9, "monkey": 9}


def test_sought_classes_are_in_view(mixture: Mixture) -> None:
    seeking = replace(
        mixture, sought=(CLASSES.index("car"),), sought_share=1.0, scene_share=0.0, paste_share=0.0
    )

    for sample in islice(seeking.samples(3), 20):
        assert CLASSES.index("car") in sample.classes


@pytest.mark.slow
def test_batches_come_from_a_process_of_their_own(mixture: Mixture, data_dir: Path) -> None:
    stream = batches(partial(make_mixture, data_dir, CLASSES, SIZE_HW), 2, (1, 0, 0))

    batch = next(stream)

    expected = list(islice(mixture.samples((1, 0, 0)), 2))
    assert batch.images.shape == (2, *SIZE_HW, 3)
    np.testing.assert_array_equal(batch.images[1].numpy(), expected[1].image)
    np.testing.assert_array_equal(batch.masks[1].numpy(), expected[1].masks)
    assert batch.counted.shape == (2, len(CLASSES))


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="davis"):
        make_mixture(tmp_path, CLASSES, SIZE_HW)
