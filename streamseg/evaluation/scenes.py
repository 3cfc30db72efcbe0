"""Frames of synthetic scenes as an annotated data set, so that they can be judged like photographs.

Tested in tests/jobs/test_evaluate.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle_codec

from streamseg.datasets.coco import CocoDataset, read_coco
from streamseg.files import write_json
from streamseg.pictures import write_picture
from streamseg.scene import CLASS_NAME, SceneTruth, SyntheticScene

__all__ = ["FIRST_SEED", "write_scenes"]

FIRST_SEED = 2**31
"""Training draws its scenes from the seeds below."""


def write_scenes(folder: Path, count: int, size_hw: tuple[int, int] = (720, 1280)) -> CocoDataset:
    """One frame of each of `count` scenes, each at another moment, as PNG and JSON files in `folder`."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for k in range(count):
        image, truth = SyntheticScene(FIRST_SEED + k, size_hw).render(7.0 * k)
        name = f"scene_{k:04d}.png"
        write_picture(folder / name, image, sync=False)
        images.append({"id": k, "file_name": name, "height": size_hw[0], "width": size_hw[1]})
        for row in range(len(truth)):
            annotations.append(_annotation(len(annotations) + 1, k, truth, row))
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": CLASS_NAME}]}
    path = folder / "instances.json"
    write_json(path, content, indent=None)
    return read_coco(path, folder)


def _annotation(number: int, image_id: int, truth: SceneTruth, row: int) -> dict[str, Any]:
    mask = truth.mask(row)
    rle = rle_codec.encode(np.asfortranarray(mask.view(np.uint8)))
    x1, y1, x2, y2 = truth.xyxy[row].tolist()
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "segmentation": {"size": list(mask.shape), "counts": rle["counts"].decode()},
        "area": int(mask.sum()),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "iscrowd": 0,
    }
