"""What the bundled engine is worth, measured, as the JSON file that lies beside it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamseg.bundled.photo_sets import PHOTO_SETS, read_split
from streamseg.datasets.coco import read_coco
from streamseg.datasets.photo_set import PhotoSet
from streamseg.engine_contract import Engine
from streamseg.errors import DatasetError
from streamseg.evaluation.coco import Subset, evaluate
from streamseg.evaluation.dataset_eval import evaluate_dataset
from streamseg.evaluation.scenes import write_scenes
from streamseg.files import file_sha256, write_json
from streamseg.scene import CLASS_NAME

__all__ = ["measure_coco", "measure_engine", "measure_shapes", "update_card"]

SCENES = 60
UNSEEN = "coco_val94"
"""Pictures of COCO val2017: the detector has seen those of train2017."""
FIGURES = (
    *("mask_ap", "mask_ap50", "mask_ap75", "mask_ap_small", "mask_ap_medium", "mask_ap_large"),
    *("box_ap", "box_ap50", "boundary_ap", "images", "instances"),
)
OF_A_CLASS = ("mask_ap", "mask_ap50", "box_ap", "instances", "images")


def measure_engine(engine: Engine, data: Path) -> dict[str, Any]:
    """On photographs and scenes for `shapes`, on COCO val2017 for an engine without the scenes' class.

    Raises DatasetError, EngineError.
    """
    return measure_shapes(engine, data) if CLASS_NAME in engine.info.classes else measure_coco(engine, data)


def measure_coco(engine: Engine, data: Path) -> dict[str, Any]:
    """What `streamseg eval` says on `coco_val94` below `data`: AP by kind and size, and of each class."""
    folder = data / UNSEEN
    figures = evaluate_dataset(engine, read_coco(folder / "instances.json", folder / "images")).figures
    told = {name: figures[name] for name in FIGURES}
    classes = {
        name: {key: value for key, value in of_class.items() if key in OF_A_CLASS}
        for name, of_class in figures["per_class"].items()
    }
    return told | {"measured_on": UNSEEN, "classes": classes, "runtime": engine.runtime}


def measure_shapes(engine: Engine, data: Path, scenes: int = SCENES) -> dict[str, Any]:
    """Mask AP on the held-out photographs below `data`, and on `scenes` synthetic frames.

    The photographs' numbers are at the top level (see `evaluate`), those of the scenes under `scenes`.
    Raises DatasetError, EngineError.
    """
    photos = evaluate(engine, [_held_out(engine, data, photo_set) for photo_set in PHOTO_SETS])
    with tempfile.TemporaryDirectory() as folder:
        images = write_scenes(Path(folder), scenes).images
        synthetic = evaluate(engine, [Subset(images, frozenset({CLASS_NAME}))])
    return photos | {"scenes": synthetic, "runtime": engine.runtime}


def _held_out(engine: Engine, data: Path, photos: PhotoSet) -> Subset:
    _, images = read_split(data, photos)
    judged = [image for image in images if image.path.name not in photos.near_duplicates]
    # The synthetic class is judged on scenes; in photographs it would only ever be wrong, and has no AP.
    labelled = frozenset(engine.info.classes) - {CLASS_NAME, *photos.uncounted}
    return Subset(judged, labelled, photos.renamed)


def update_card(card: Path, engine_file: Path, measured: Mapping[str, Any]) -> None:
    """Write what was measured of `engine_file` into `card`; what else it says, of training and data, stays.

    Raises DatasetError when `card` exists and is not a JSON object.
    """
    told: dict[str, Any] = {}
    if card.exists():
        try:
            told = dict(json.loads(card.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{card}: not a card ({error}); move it away") from error
    told |= {**measured, "engine": engine_file.name, "engine_sha256": file_sha256(engine_file)}
    write_json(card, told, indent=1)
