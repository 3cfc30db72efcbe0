"""Weights that can be made again, and what the originals of the other families found with them.

For the scripts of single families. What lies where: shared/reference/families/README.md.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["FAMILIES", "picture", "published_state", "recorded"]

FAMILIES = Path("reference") / "families"
PICTURES = Path("data") / "coco_train288" / "images"


def published_state(folder: Path) -> dict[str, torch.Tensor]:
    """The weights under their publisher's names, by the recipe that lies beside the references."""
    script = folder.parent / "make_weights.py"
    spec = importlib.util.spec_from_file_location("make_family_weights", script)
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    content = _content(folder / "keys.json.gz")
    with np.load(folder / "calibration.npz") as stored:
        arrays = {
            entry["key"]: recipe.make_tensor(content["seed"], entry, stored) for entry in content["tensors"]
        }
    for entry in content["tensors"]:
        if entry["init"]["kind"] == "alias":
            arrays[entry["key"]] = arrays[entry["init"]["of"]]
    return {key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}


def recorded(folder: Path, count: int) -> list[dict[str, Any]]:
    """What the original found in the first `count` pictures."""
    entries: list[dict[str, Any]] = _content(folder / "detections.json.gz")["images"]
    return entries[:count]


def picture(shared: Path, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) BGR."""
    return np.asarray(cv2.imread(str(shared / PICTURES / name)), np.uint8)


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return content
