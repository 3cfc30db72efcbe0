"""Annotations in COCO's JSON format: polygons, run-length masks, crowd regions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_codec

from streamseg.errors import DatasetError
from streamseg.masks.decode import run_lengths

__all__ = ["Annotation", "CocoDataset", "CocoImage", "LeftOut", "checked_rle", "read_coco", "read_image"]

Polygon = NDArray[np.float32]
LeftOut = Callable[[str], None]
"""Told of each entry that cannot be used."""

FARTHEST = 1e5
"""Pixels; pycocotools walks along every edge, and an edge of 10⁹ pixels takes 20 GB."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """One object, or one crowd, of an image."""

    class_name: str
    crowd: bool
    """A region of many objects: neither a hit nor a miss."""
    polygons: tuple[Polygon, ...]
    """Outlines, (n, 2) float32 x y in pixels; empty when the region is given as `rle`."""
    rle: Mapping[str, Any] | None
    """Run lengths, counts compressed, or None when the region is given as `polygons`."""
    area: float
    """Pixels, as the file says."""
    xywh: tuple[float, float, float, float] | None = None
    """Box in pixels, as the file says, if it does."""

    def compressed(self, size_hw: tuple[int, int]) -> Mapping[str, Any]:
        """The region as compressed run lengths of an image of `size_hw`."""
        if self.rle is not None:
            return self.rle
        parts = rle_codec.frPyObjects([p.ravel().tolist() for p in self.polygons], *size_hw)
        merged: Mapping[str, Any] = rle_codec.merge(parts)
        return merged

    def mask(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W) bool."""
        return np.asarray(rle_codec.decode(self.compressed(size_hw)), bool)

    def outlines(self, size_hw: tuple[int, int]) -> tuple[Polygon, ...]:
        """The region as polygons; a run-length mask loses its holes."""
        if self.rle is None:
            return self.polygons
        rings, _ = cv2.findContours(
            self.mask(size_hw).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        return tuple(ring.reshape(-1, 2).astype(np.float32) + 0.5 for ring in rings if len(ring) >= 3)


@dataclass(frozen=True, slots=True, eq=False)
class CocoImage:
    """One image file and what is annotated in it."""

    image_id: int
    path: Path
    size_hw: tuple[int, int]
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CocoDataset:
    """The images of one annotation file, in its order."""

    path: Path
    classes: tuple[str, ...]
    """Names of the categories, by their id in the file."""
    images: tuple[CocoImage, ...]
    category_ids: tuple[int, ...]
    """The file's ids of `classes`."""


def read_coco(path: Path, images_dir: Path, left_out: LeftOut | None = None) -> CocoDataset:
    """Read an annotation file. Raises DatasetError that names the file and the entry at fault.

    With `left_out`, which is told of them, annotations that cannot be read and images without a file are
    left out instead.
    """
    content = _read_json(path)
    try:
        names = {int(c["id"]): str(c["name"]) for c in sorted(content["categories"], key=lambda c: c["id"])}
        images = {int(image["id"]): image for image in content["images"]}
        objects: dict[int, list[Annotation]] = {image_id: [] for image_id in images}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: not in COCO's format ({type(error).__name__}: {error})") from error
    entries = content.get("annotations", [])
    if not isinstance(entries, list):
        raise DatasetError(f"{path}: not in COCO's format (annotations hold a {type(entries).__name__})")
    for entry in entries:
        try:
            image = images[int(entry["image_id"])]
            size_hw = int(image["height"]), int(image["width"])
            objects[int(entry["image_id"])].append(
                _annotation(entry, names[int(entry["category_id"])], size_hw)
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            name = entry.get("id") if isinstance(entry, dict) else entry
            text = f"annotation {name!r}: {type(error).__name__}: {error}"
            if left_out is None:
                raise DatasetError(f"{path}: {text}") from error
            left_out(text)
    listed = tuple(_images(path, images_dir, images, objects, left_out))
    return CocoDataset(path, tuple(names.values()), listed, tuple(names))


def _images(
    path: Path,
    images_dir: Path,
    entries: Mapping[int, Mapping[str, Any]],
    objects: Mapping[int, list[Annotation]],
    left_out: LeftOut | None,
) -> list[CocoImage]:
    images = []
    for image_id, entry in entries.items():
        try:
            size_hw, file = (int(entry["height"]), int(entry["width"])), images_dir / str(entry["file_name"])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{path}: image {image_id}: {type(error).__name__}: {error}") from error
        if not file.is_file():
            if left_out is None:
                raise DatasetError(f"{path}: image {image_id}: {file} does not exist")
            left_out(f"image {image_id}: {file} does not exist")
            continue
        images.append(CocoImage(image_id, file, size_hw, tuple(objects[image_id])))
    return images


def read_image(image: CocoImage) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR. Raises DatasetError when it cannot be decoded or has another size."""
    pixels = cv2.imread(str(image.path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise DatasetError(f"{image.path}: cannot be decoded")
    if pixels.shape[:2] != image.size_hw:
        raise DatasetError(
            f"{image.path}: {pixels.shape[1]}x{pixels.shape[0]}, its annotations are for "
            f"{image.size_hw[1]}x{image.size_hw[0]}"
        )
    return np.asarray(pixels, np.uint8)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: not in COCO's format (holds a {type(content).__name__})")
    return content


def _annotation(entry: Mapping[str, Any], class_name: str, size_hw: tuple[int, int]) -> Annotation:
    segmentation = entry["segmentation"]
    rle = checked_rle(segmentation, size_hw) if isinstance(segmentation, dict) else None
    polygons: tuple[Polygon, ...] = ()
    if rle is None:
        polygons = tuple(_polygon(flat) for flat in segmentation)
        if not polygons:
            raise ValueError("no polygon")
    xywh = _box(entry["bbox"]) if entry.get("bbox") else None
    return Annotation(class_name, bool(entry.get("iscrowd", 0)), polygons, rle, float(entry["area"]), xywh)


def _box(numbers: Any) -> tuple[float, float, float, float]:
    x, y, width, height = (float(number) for number in numbers)
    if not np.isfinite([x, y, width, height]).all() or width < 0 or height < 0:
        raise ValueError(f"bbox {numbers}: expected x, y, width, height")
    return x, y, width, height


def _polygon(flat: list[float]) -> Polygon:
    points = np.array(flat, np.float32)
    if points.ndim != 1 or len(points) % 2 or len(points) < 6 or not np.isfinite(points).all():
        raise ValueError("a polygon needs three or more pairs of finite numbers")
    if np.abs(points).max() > FARTHEST:
        raise ValueError(f"a polygon reaches {np.abs(points).max():.0f} pixels far")
    return points.reshape(-1, 2)


def checked_rle(rle: Mapping[str, Any], size_hw: tuple[int, int]) -> Mapping[str, Any]:
    """`rle`, COCO's run lengths of a picture of `size_hw`, compressed; checked before C code reads them.

    Raises ValueError, KeyError, TypeError.
    """
    if tuple(rle["size"]) != size_hw:
        raise ValueError(f"mask of size {rle['size']} in an image of {list(size_hw)}")
    counts = rle["counts"]
    packed: Mapping[str, Any] = {"size": list(size_hw), "counts": counts}
    if isinstance(counts, list):
        lengths = counts
    elif isinstance(counts, str):
        lengths = run_lengths(counts)
    else:
        raise ValueError("run lengths are neither a list nor a string")
    if any(not isinstance(n, int) or n < 0 for n in lengths) or sum(lengths) != size_hw[0] * size_hw[1]:
        raise ValueError("run lengths do not fill the image")
    if isinstance(counts, list):
        packed = rle_codec.frPyObjects(dict(rle), *size_hw)
    return packed
