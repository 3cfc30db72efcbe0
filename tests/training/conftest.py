"""A data folder as training expects it, made of synthetic pictures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.bundled.photo_sets import CLIP_CLASSES, PHOTO_SETS

CLASS_OF_FOLDER = {"coco_train288": "person", "cats_feral": "cat", "animals7": "rhesus monkey"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """For each data set ten pictures of a bright ellipse with its outline annotated, and short clips."""
    for photos in PHOTO_SETS:
        folder = tmp_path / "data" / photos.folder
        (folder / "images").mkdir(parents=True)
        (folder / "instances.json").write_text(
            json.dumps(write_pictures(folder, CLASS_OF_FOLDER[photos.folder]))
        )
    for sequence in CLIP_CLASSES:
        write_clip(tmp_path / "data" / "davis", sequence)
    return tmp_path / "data"


def write_clip(folder: Path, sequence: str) -> None:
    """Four frames with a green disc that moves to the right."""
    for part in ("JPEGImages", "Annotations"):
        (folder / part / sequence).mkdir(parents=True)
    for k in range(4):
        mask = np.zeros((120, 200), np.uint8)
        cv2.circle(mask, (60 + 20 * k, 60), 25, 255, cv2.FILLED)
        image = np.where(mask[..., None] > 0, np.uint8((0, 200, 0)), np.uint8(40))
        cv2.imwrite(str(folder / "JPEGImages" / sequence / f"0000{k}.jpg"), image)
        cv2.imwrite(str(folder / "Annotations" / sequence / f"0000{k}.png"), mask)


def write_pictures(folder: Path, class_name: str) -> dict[str, object]:
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for k in range(10):
        centre, axes = (int(rng.integers(60, 140)), int(rng.integers(50, 70))), (40, 30)
        ring = cv2.ellipse2Poly(centre, axes, 0, 0, 360, 10)
        image = rng.integers(0, 90, (120, 200, 3), np.uint8)
        cv2.fillPoly(image, [ring], (60, 180, 240))
        cv2.imwrite(str(folder / "images" / f"{k}.png"), image)
        images.append({"id": k, "file_name": f"{k}.png", "height": 120, "width": 200})
        polygon = ring.ravel().tolist()
        annotations.append(
            {"id": k, "image_id": k, "category_id": 1, "segmentation": [polygon], "area": 3770, "iscrowd": 0}
        )
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": class_name}]}
