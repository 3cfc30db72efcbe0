"""What is trained on and what is measured with, checked before a night is spent on it.

Tested in tests/cli/test_train.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from streamseg.datasets.check import check_dataset
from streamseg.datasets.coco import CocoDataset
from streamseg.datasets.read import read_dataset
from streamseg.datasets.split import held_out
from streamseg.errors import DatasetError
from streamseg.progress import Watcher

__all__ = ["TrainingData", "read_training_data"]

HELD_OUT_SHARE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """Two data sets without a common image."""

    train: CocoDataset
    val: CocoDataset
    classes: tuple[str, ...]
    """Those with at least one instance to train on, in the order of their ids in the file."""


def read_training_data(data: Path, val: Path | None, watcher: Watcher | None) -> TrainingData:
    """Read `data`, and what to measure with: `val`, or the part of `data` named val, or a tenth of it.

    The tenth is chosen by the images' names, so it is the same in every run. With `watcher` every image and
    annotation is checked and classes without instances are named. Raises DatasetError for whatever cannot be
    used: nothing is left out silently.
    """
    train = _checked(data, "train", watcher)
    if val is not None or _has_val(data):
        measured = _checked(val or data, "val", watcher)
        _refuse_common(train, measured)
    else:
        out = held_out((image.path.name for image in train.images), HELD_OUT_SHARE)
        measured = replace(train, images=tuple(i for i in train.images if i.path.name in out))
        train = replace(train, images=tuple(i for i in train.images if i.path.name not in out))
    there = {a.class_name for image in train.images for a in image.annotations if not a.crowd}
    classes = tuple(name for name in train.classes if name in there)
    if not classes:
        raise DatasetError(f"{data}: no object to train on in {len(train.images)} images")
    if not any(a.class_name in there and not a.crowd for i in measured.images for a in i.annotations):
        raise DatasetError(
            f"{measured.path}: no object to measure with in {len(measured.images)} images; "
            "name others with --val"
        )
    if watcher and len(classes) < len(train.classes):
        absent = ", ".join(name for name in train.classes if name not in there)
        watcher.say(f"not trained, no instance of: {absent}")
    return TrainingData(train, measured, classes)


def _checked(path: Path, split: str, watcher: Watcher | None) -> CocoDataset:
    if watcher is None:
        return read_dataset(path, split=split)
    report = check_dataset(
        path,
        split=split,
        on_image=lambda done, total: watcher.progress(f"checking {path}", done, total),
    )
    if report.broken:
        raise DatasetError(
            f"{path}: {len(report.broken)} entries cannot be used, the first: {report.broken[0]}; "
            f"all of them: streamseg data check {path}"
        )
    return report.dataset


def _has_val(data: Path) -> bool:
    """Whether a data set brings images to measure with: YOLO's `val:`, or a folder `val` beside `train`."""
    description = data / "data.yaml" if data.is_dir() else data
    if description.suffix in (".yaml", ".yml") and description.is_file():
        return bool(re.search(r"^val:", description.read_text(encoding="utf-8"), re.MULTILINE))
    return (data / "train").is_dir() and (data / "val").is_dir()


def _refuse_common(train: CocoDataset, val: CocoDataset) -> None:
    own = {image.path.resolve() for image in train.images}
    common = [image.path for image in val.images if image.path.resolve() in own]
    if common:
        raise DatasetError(
            f"{val.path}: {len(common)} of its images are trained on, the first is {common[0]}; "
            "an AP on them says nothing"
        )
