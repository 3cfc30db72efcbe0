"""Three frames of two objects: one always seen, one hidden in the middle."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco

HW = 60, 80


def rle_of(x1, y1, x2, y2):
    bits = np.zeros(HW, np.uint8, order="F")
    bits[y1:y2, x1:x2] = 1
    encoded = coco.encode(bits)
    return {"size": list(HW), "counts": encoded["counts"].decode()}


def instance(track, name, score, box):
    return {"id": track, "class": name, "score": score, "box": [float(v) for v in box], "mask": rle_of(*box)}


@pytest.fixture
def recorded(tmp_path):
    """A file of JSON Lines."""
    lines = []
    for index in range(3):
        found = [instance(1, "car", 0.9, (10 + index, 10, 40 + index, 30))]
        if index != 1:
            found.append(instance(7, "person", 0.8, (30, 20, 50, 50)))
        found.append(instance(None, "car", 0.4, (60, 40, 70, 50)))
        lines.append({"schema": 1, "source": "cam", "index": index, "pts": index / 25, "captured": "",
                      "age_ms": 1.0, "instances": found})  # fmt: skip
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
