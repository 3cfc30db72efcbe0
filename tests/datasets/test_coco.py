"""Annotation files: what is read, and one line for each way to be broken."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamseg.datasets.coco import CocoDataset, read_coco, read_image
from streamseg.errors import DatasetError

SQUARE = [[2, 1, 6, 1, 6, 5, 2, 5]]


def annotation(**changes: Any) -> dict[str, Any]:
    entry = {"id": 5, "image_id": 1, "category_id": 7, "segmentation": SQUARE, "area": 16, "iscrowd": 0}
    return entry | changes


def content(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    images = [{"id": 1, "file_name": "a.png", "height": 8, "width": 10}]
    categories = [{"id": 9, "name": "dog"}, {"id": 7, "name": "cat"}]
    return {"images": images, "annotations": list(annotations), "categories": categories} | changes


def read(folder: Path, text: str) -> CocoDataset:
    cv2.imwrite(str(folder / "a.png"), np.full((8, 10, 3), 50, np.uint8))
    (folder / "instances.json").write_text(text)
    return read_coco(folder / "instances.json", folder)


def test_polygons(tmp_path: Path) -> None:
    dataset = read(tmp_path, json.dumps(content(annotation())))

    (image,) = dataset.images
    (found,) = image.annotations
    expected = np.zeros((8, 10), bool)
    expected[1:5, 2:6] = True
    assert dataset.classes == ("cat", "dog")
    assert (image.size_hw, found.class_name, found.crowd, found.area) == ((8, 10), "cat", False, 16)
    np.testing.assert_array_equal(found.mask(image.size_hw), expected)
    assert read_image(image)[0, 0].tolist() == [50, 50, 50]


@pytest.mark.parametrize("form", ["list", "string"])
def test_run_lengths_and_crowds(tmp_path: Path, form: str) -> None:
    rle: dict[str, Any] = {"size": [8, 10], "counts": [8, 3, 69]}
    if form == "string":
        from pycocotools import mask

        rle["counts"] = mask.frPyObjects(rle, 8, 10)["counts"].decode()
    dataset = read(tmp_path, json.dumps(content(annotation(segmentation=rle, iscrowd=1))))

    (found,) = dataset.images[0].annotations
    assert found.crowd
    assert np.argwhere(found.mask((8, 10))).tolist() == [[0, 1], [1, 1], [2, 1]]


def test_outlines_of_run_lengths_cover_the_region(tmp_path: Path) -> None:
    rle = {"size": [8, 10], "counts": [17, 5, 3, 5, 3, 5, 42]}
    dataset = read(tmp_path, json.dumps(content(annotation(segmentation=rle))))

    (ring,) = dataset.images[0].annotations[0].outlines((8, 10))
    assert ring.min(axis=0).tolist() == [2.5, 1.5]
    assert ring.max(axis=0).tolist() == [4.5, 5.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 2}, "annotation 5: KeyError: 2"),
        ({"category_id": 1}, "annotation 5: KeyError: 1"),
        ({"segmentation": []}, "annotation 5: .*no polygon"),
        ({"segmentation": [[1, 2, 3, 4]]}, "annotation 5: .*three or more pairs"),
        ({"segmentation": [["x"] * 6]}, "annotation 5"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "annotation 5: .*finite"),
        ({"segmentation": {"size": [9, 9], "counts": [81]}}, "annotation 5: .*mask of size"),
        ({"segmentation": {"size": [8, 10], "counts": [8, 3]}}, "annotation 5: .*do not fill"),
        ({"segmentation": {"size": [8, 10], "counts": [90, -10]}}, "annotation 5: .*do not fill"),
        ({"segmentation": {"size": [8, 10], "counts": 3}}, "annotation 5: .*neither a list nor a string"),
        ({"segmentation": {"size": [8, 10], "counts": "000"}}, "annotation 5: .*do not fill"),
        ({"segmentation": {"size": [8, 10], "counts": "~~~~"}}, "annotation 5: .*not COCO's"),
        ({"area": None}, "annotation 5"),
    ],
)
def test_bad_annotations(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, json.dumps(content(annotation(**change))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "holds a list"),
        ("{}", "not in COCO's format"),
        (json.dumps(content(images=3)), "not in COCO's format"),
        (json.dumps(content(annotations=3)), "not in COCO's format"),
        (json.dumps(content(annotations=[3])), "annotation 3"),
        (json.dumps(content(images=[{"id": 1, "file_name": "a.png"}])), "image 1: KeyError: 'height'"),
        (
            json.dumps(content(images=[{"id": 1, "file_name": "b", "height": 1, "width": 1}])),
            "does not exist",
        ),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, text)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"absent\.json: cannot be read"):
        read_coco(tmp_path / "absent.json", tmp_path)


def test_pictures_that_cannot_be_used(tmp_path: Path) -> None:
    (image,) = read(tmp_path, json.dumps(content())).images

    cv2.imwrite(str(image.path), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DatasetError, match="4x4, its annotations are for 10x8"):
        read_image(image)
    image.path.write_text("no picture")
    with pytest.raises(DatasetError, match="cannot be decoded"):
        read_image(image)


def test_real_data_reads(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "coco_train288"

    dataset = read_coco(folder / "instances.json", folder / "images")

    annotations = [a for image in dataset.images for a in image.annotations]
    assert (len(dataset.images), len(annotations)) == (288, 2383)
    assert sum(a.crowd for a in annotations) == 24
    image = dataset.images[0]
    areas = [a.mask(image.size_hw).sum() for a in image.annotations]
    assert areas == pytest.approx([a.area for a in image.annotations], rel=0.05)
