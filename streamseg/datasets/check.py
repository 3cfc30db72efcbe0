"""Look over a data set before a night is spent on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamseg.datasets.coco import Annotation, CocoDataset, CocoImage, read_image
from streamseg.datasets.read import read_dataset
from streamseg.errors import DatasetError
from streamseg.files import file_sha256

__all__ = ["ClassCount", "DatasetReport", "check_dataset"]

OUTSIDE_PX = 2.0
"""Outlines drawn by hand may leave the image by a little."""
FEW = 20
"""Instances of a class under which it is hardly learnt: 20 dogs gave the bundled engine an AP of 0."""


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class of a data set."""

    name: str
    instances: int
    images: int
    median_side_px: float
    """Square root of the median area; 0 without instances."""


@dataclass(slots=True)
class DatasetReport:
    """What `check_dataset` found."""

    dataset: CocoDataset
    classes: list[ClassCount]
    broken: list[str] = field(default_factory=list)
    """Entries that cannot be used; training refuses them."""
    notes: list[str] = field(default_factory=list)
    """What can be used and may be meant otherwise."""
    crowds: int = 0


def check_dataset(
    path: Path,
    images: Path | None = None,
    *,
    split: str = "train",
    on_image: Callable[[int, int], None] | None = None,
) -> DatasetReport:
    """Read every image and annotation, and say what is wrong with them.

    `on_image` is told how many images are done, and of how many. Raises DatasetError when there is nothing
    to check at all.
    """
    broken: list[str] = []
    dataset = read_dataset(path, images, split=split, left_out=broken.append)
    report = DatasetReport(dataset, _count(dataset), broken)
    report.crowds = sum(a.crowd for image in dataset.images for a in image.annotations)
    for number, image in enumerate(dataset.images, start=1):
        _check_image(image, report)
        if on_image:
            on_image(number, len(dataset.images))
    report.notes += _about_images(dataset, images) + _about_classes(report.classes)
    return report


def _count(dataset: CocoDataset) -> list[ClassCount]:
    areas: dict[str, list[float]] = defaultdict(list)
    images: Counter[str] = Counter()
    for image in dataset.images:
        objects = [a for a in image.annotations if not a.crowd]
        images.update({a.class_name for a in objects})
        for annotation in objects:
            areas[annotation.class_name].append(annotation.area)
    return [
        ClassCount(name, len(areas[name]), images[name], float(np.sqrt(np.median(areas[name] or [0]))))
        for name in dataset.classes
    ]


def _check_image(image: CocoImage, report: DatasetReport) -> None:
    try:
        read_image(image)
    except DatasetError as error:
        report.broken.append(str(error))
        return
    for number, annotation in enumerate(image.annotations, start=1):
        problem = _problem(annotation, image.size_hw)
        if problem:
            report.broken.append(f"{image.path.name}, object {number} ({annotation.class_name}): {problem}")


def _problem(annotation: Annotation, size_hw: tuple[int, int]) -> str:
    """What makes an annotation unusable; "" when nothing does."""
    if annotation.polygons:
        points = np.concatenate(annotation.polygons)
        low, high = points.min(axis=0), points.max(axis=0)
        limit = np.array(size_hw[::-1])
        if (high <= 0).any() or (low >= limit).any():
            return "its outline is wholly outside the image"
        if (low < -OUTSIDE_PX).any() or (high > limit + OUTSIDE_PX).any():
            far = max(float(-low.min()), float((high - limit).max()))
            return f"its outline leaves the image by {far:.0f} pixels"
    if not annotation.mask(size_hw).any():
        return "its outline covers no pixel"
    return ""


def _about_images(dataset: CocoDataset, images: Path | None) -> list[str]:
    notes = []
    empty = [image.path.name for image in dataset.images if not image.annotations]
    if empty:
        notes.append(f"{len(empty)} images show no annotated object, the first is {empty[0]}")
    strangers = _unlisted(dataset, images)
    if strangers:
        notes.append(f"{len(strangers)} image files are in no annotation, the first is {strangers[0].name}")
    twins = _twins(image.path for image in dataset.images)
    if twins:
        notes.append(f"{len(twins)} images have a copy among the others, the first is {' = '.join(twins[0])}")
    return notes


def _unlisted(dataset: CocoDataset, images: Path | None) -> list[Path]:
    """Files beside the images listed that are not listed themselves."""
    listed = {image.path.resolve() for image in dataset.images}
    suffixes = {file.suffix for file in listed}
    folders = {images.resolve()} if images else {file.parent for file in listed}
    there = (file for folder in sorted(folders) for file in sorted(folder.iterdir()))
    return [file for file in there if file.suffix in suffixes and file.resolve() not in listed]


def _twins(files: Iterable[Path]) -> list[tuple[str, str]]:
    """Pairs of names of equal files: in training and validation at once they would flatter the result."""
    first: dict[str, str] = {}
    twins = []
    for file in files:
        digest = file_sha256(file)
        if digest in first:
            twins.append((first[digest], file.name))
        else:
            first[digest] = file.name
    return twins


def _about_classes(classes: list[ClassCount]) -> list[str]:
    absent = [c.name for c in classes if not c.instances]
    few = [f"{c.name} {c.instances}" for c in classes if 0 < c.instances < FEW]
    notes = [f"no instance of: {', '.join(absent)}"] if absent else []
    return notes + ([f"hardly enough to learn from: {', '.join(few)}"] if few else [])
