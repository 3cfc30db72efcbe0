"""How good a network is while it is being trained: one figure, and pictures to look at.

Tested in tests/cli/test_train.py.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from streamseg.datasets.coco import CocoDataset
from streamseg.engine_contract import Engine
from streamseg.errors import TrainingError
from streamseg.evaluation.coco import Subset, evaluate
from streamseg.evaluation.contact_sheet import contact_sheet
from streamseg.evaluation.dataset_eval import evaluate_dataset
from streamseg.files import atomic_write
from streamseg.pictures import write_picture

__all__ = ["copy_whole", "mask_ap", "write_samples"]

SAMPLES = 6


def mask_ap(engine: Engine, dataset: CocoDataset) -> float:
    """COCO's mask AP, 0 … 1, over the engine's classes. Raises DatasetError."""
    found = evaluate(engine, [Subset(dataset.images, frozenset(engine.info.classes))])
    return float(found["mask_ap"])


def write_samples(engine: Engine, dataset: CocoDataset, path: Path) -> None:
    """A picture of six images with objects, from all of the data set: truth on the left, found on the right.

    Raises TrainingError when it cannot be written.
    """
    useful = [image for image in dataset.images if image.annotations]
    shown = useful[:: max(1, len(useful) // SAMPLES)][:SAMPLES]
    evaluation = evaluate_dataset(engine, replace(dataset, images=tuple(shown)))
    try:
        write_picture(path, contact_sheet(evaluation.images, evaluation.names), kind="jpg")
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error.strerror})") from error


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file; whoever reads `target`, at any moment, gets the old or the new one whole.

    Raises TrainingError.
    """
    try:
        with atomic_write(target) as part:
            shutil.copyfile(source, part)
    except OSError as error:
        raise TrainingError(
            f"{target}: cannot be saved ({error.strerror}); the one before is whole"
        ) from error
