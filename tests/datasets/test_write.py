"""A part of a data set as a file: what is read back is what was written."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle_codec

from streamseg.datasets.coco import read_coco
from streamseg.datasets.write import write_coco
from streamseg.errors import DatasetError


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "ä.png"), np.zeros((20, 30, 3), np.uint8))
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 3:20] = 1
    rle = rle_codec.encode(np.asfortranarray(mask))
    counts = {"size": [20, 30], "counts": rle["counts"].decode()}
    polygon = [[1, 1, 9, 1, 9, 8.5], [12, 12, 20, 12, 20, 18]]
    annotations = [
        {"segmentation": polygon, "category_id": 7, "area": 50.0, "iscrowd": 0, "bbox": [1, 1, 19, 17]},
        {"segmentation": counts, "category_id": 2, "area": 170.0, "iscrowd": 1},
    ]
    content = {
        "images": [{"id": 4, "file_name": "ä.png", "height": 20, "width": 30}],
        "categories": [{"id": 7, "name": "bolt"}, {"id": 2, "name": "nut"}],
        "annotations": [a | {"id": k, "image_id": 4} for k, a in enumerate(annotations)],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return read_coco(tmp_path / "instances.json", tmp_path / "images")


def test_read_back(dataset, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "part.json"

    write_coco(dataset, path)

    again = read_coco(path, tmp_path / "elsewhere")
    assert (again.classes, again.category_ids) == (dataset.classes, dataset.category_ids)
    (image,), (before,) = again.images, dataset.images
    assert (image.image_id, image.size_hw) == (4, (20, 30))
    assert image.path == before.path
    for one, other in zip(image.annotations, before.annotations, strict=True):
        assert (one.class_name, one.crowd, one.area) == (other.class_name, other.crowd, other.area)
        np.testing.assert_array_equal(one.mask((20, 30)), other.mask((20, 30)))
    assert image.annotations[0].xywh == (1, 1, 19, 17)
    assert image.annotations[1].xywh == (3, 5, 17, 10)


def test_a_file_that_cannot_be_written(dataset, tmp_path):
    with pytest.raises(DatasetError, match=r"part.json: cannot be written"):
        write_coco(dataset, tmp_path / "gone" / "part.json")
