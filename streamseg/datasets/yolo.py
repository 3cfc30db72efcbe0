"""Segmentation labels in YOLO's format: a data.yaml, and a text file of polygons for each image.
Tested in tests/datasets/test_read.py.

One object a line: class, then x y of each corner, relative to the image's width and height.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from streamseg.datasets.coco import Annotation, CocoDataset, CocoImage, LeftOut
from streamseg.datasets.image_files import image_size_hw, list_images
from streamseg.errors import DatasetError

__all__ = ["read_yolo"]

OUTSIDE = 0.02
"""Relative; corners may leave the image by this much, which is how labels are rounded."""


def read_yolo(path: Path, split: str = "train", left_out: LeftOut | None = None) -> CocoDataset:
    """Read the images and labels that the entry `split` of a data.yaml names. Raises DatasetError.

    An image without a label file shows no object. With `left_out`, which is told of them, lines that cannot
    be read are left out.
    """
    content = _read_yaml(path)
    classes = _classes(path, content)
    images = []
    for number, file in enumerate(_image_files(path, content, split), start=1):
        try:
            size_hw = image_size_hw(file)
        except DatasetError as error:
            _report(str(error), left_out)
            continue
        annotations = tuple(_annotations(_label_file(file), classes, size_hw, left_out))
        images.append(CocoImage(number, file, size_hw, annotations))
    return CocoDataset(path, classes, tuple(images), tuple(range(1, len(classes) + 1)))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not YAML ({error})") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: expected keys such as train, val and names")
    return content


def _classes(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    names = content.get("names")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[k] for k in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DatasetError(f"{path}: names: expected a list of class names, or a mapping from 0 on")
    return tuple(str(name) for name in names)


def _image_files(path: Path, content: dict[str, Any], split: str) -> list[Path]:
    entry = content.get(split)
    if not entry:
        there = [key for key in ("train", "val", "test") if content.get(key)]
        raise DatasetError(f"{path}: has no {split!r}, only {', '.join(there) or 'no images at all'}")
    root = path.parent / str(content.get("path") or ".")
    files: list[Path] = []
    for name in entry if isinstance(entry, list) else [entry]:
        place = _place(path, root, str(name))
        files += _listed(place) if place.suffix == ".txt" else list_images(place)
    return files


def _place(path: Path, root: Path, name: str) -> Path:
    """Where an entry is: below `path:`, or beside the file; some exports write ../train for ./train."""
    candidates = [root / name, path.parent / name, path.parent / name.removeprefix("../")]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise DatasetError(f"{path}: {name}: neither {candidates[0]} nor {candidates[2]} exists")


def _listed(file: Path) -> list[Path]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [file.parent / line.strip() for line in lines if line.strip()]


def _label_file(image: Path) -> Path:
    """`…/images/a/b.jpg` has `…/labels/a/b.txt`; elsewhere the labels are beside the image."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _annotations(
    file: Path, classes: tuple[str, ...], size_hw: tuple[int, int], left_out: LeftOut | None
) -> Iterator[Annotation]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        _report(f"{file}: cannot be read ({error})", left_out)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield _annotation(line.split(), classes, size_hw)
        except ValueError as error:
            _report(f"{file}, line {number}: {error}", left_out)


def _annotation(words: list[str], classes: tuple[str, ...], size_hw: tuple[int, int]) -> Annotation:
    class_id, corners = float(words[0]), np.array([float(word) for word in words[1:]], np.float32)
    if class_id not in range(len(classes)):
        raise ValueError(f"class {words[0]}, of {len(classes)} from 0 on")
    if len(corners) == 4:
        raise ValueError("a box; outlines are needed, x y of three or more corners")
    if len(corners) < 6 or len(corners) % 2:
        raise ValueError(f"{len(corners)} numbers after the class; expected x y of three or more corners")
    if not np.isfinite(corners).all() or corners.min() < -OUTSIDE or corners.max() > 1 + OUTSIDE:
        raise ValueError("corners outside 0…1; they are relative to the image's size")
    polygon = corners.clip(0, 1).reshape(-1, 2) * np.array(size_hw[::-1], np.float32)
    area = abs(float(cv2.contourArea(polygon)))
    return Annotation(classes[int(class_id)], False, (polygon,), None, area)


def _report(text: str, left_out: LeftOut | None) -> None:
    if left_out is None:
        raise DatasetError(text)
    left_out(text)
