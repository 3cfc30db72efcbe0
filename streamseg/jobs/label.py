"""What `streamseg data label` does: images → annotations in COCO's format, made by an engine.

Tested in tests/cli/test_label.py.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from streamseg.datasets.coco import CocoDataset, CocoImage
from streamseg.datasets.image_files import image_size_hw, list_images
from streamseg.datasets.labels import annotations_from_instances
from streamseg.datasets.write import write_coco
from streamseg.engines.load import load_engine
from streamseg.errors import ConfigError, DatasetError
from streamseg.evaluation.detect import segmented
from streamseg.progress import Watcher
from streamseg.streaming.choice import class_ids
from streamseg.streaming.config import RunConfig

__all__ = ["Labelled", "label_folder"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """What was written."""

    path: Path
    images: int
    objects: int
    empty: int
    """Images in which nothing was found; they are in the file as well."""
    left_out: tuple[str, ...]
    """Why, for each image that is not in the file."""
    images_option: str
    """What other verbs must be told to find the images; "" where they find them by themselves."""


def label_folder(
    engine: Path,
    folder: Path,
    out: Path | None,
    classes: tuple[str, ...] | None,
    *,
    score: float,
    runtime: str,
    watcher: Watcher,
) -> Labelled:
    """Annotate the images in `folder` with what the engine file finds of `classes`, of all if None.

    `out`: where to; None: `instances.json` in the folder, or beside it if it is called `images`. A file that
    is there is never written over. Raises ConfigError, DatasetError, EngineError.
    """
    path = out or (folder.parent if folder.resolve().name == "images" else folder) / "instances.json"
    left_out: list[str] = []
    listed = [image for k, file in enumerate(list_images(folder), 1) if (image := _image(k, file, left_out))]
    refuse_to_overwrite(path)
    with load_engine(engine, runtime) as loaded:
        known = loaded.info.classes
        wanted = class_ids(classes, known)
        done = []
        told = partial(watcher.progress, "labelling")
        seen = segmented(
            loaded, listed, score, left_out.append, classes=wanted, double_iou=RunConfig().double_iou
        )
        for image, _, instances in seen:
            found = annotations_from_instances(instances, known)
            done.append(CocoImage(image.image_id, image.path, image.size_hw, found))
            told(len(done), len(listed))
    if not done:
        raise DatasetError(f"{folder}: none of its images can be read, the first: {left_out[0]}")
    names = classes or known
    dataset = CocoDataset(path, tuple(names), tuple(done), tuple(range(1, len(names) + 1)))
    refuse_to_overwrite(path)
    about = f"made by {engine.name}, scores of {score} and more, corrected by nobody"
    write_coco(dataset, path, folder=folder, description=about)
    return Labelled(
        path,
        len(done),
        sum(len(image.annotations) for image in done),
        sum(not image.annotations for image in done),
        tuple(left_out),
        "" if out is None else f" --images {shlex.quote(str(folder))}",
    )


def refuse_to_overwrite(path: Path) -> None:
    """Raise ConfigError where there is something at `path`: it may be somebody's work of days."""
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{path}: is there already and is not written over; name another file with --out")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: cannot be written, there is no folder {path.parent}")


def _image(number: int, file: Path, left_out: list[str]) -> CocoImage | None:
    try:
        return CocoImage(number, file, image_size_hw(file), ())
    except DatasetError as error:
        left_out.append(str(error))
        return None
