"""Annotated photographs in memory, decoded once. Tested in tests/training/test_canvas.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.datasets.coco import CocoImage, read_image
from streamseg.datasets.photo_set import PhotoSet
from streamseg.models.yolact.catalog import REST

__all__ = ["Item", "Photo", "load_photo", "load_photos"]

MAX_SIDE_PX = 512
FINE = 4
"""A mask is traced so many times as large as it is: its outline is its pixels' edges but for an eighth."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One annotated object; `ignore` regions are neither object nor background."""

    class_id: int
    ignore: bool
    polygons: tuple[NDArray[np.float32], ...]
    even_odd: bool = False
    """Rings within rings are holes, as in outlines of a mask; otherwise the region is the union of all."""


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One picture, its long side at most MAX_SIDE_PX, and its objects in its own pixels."""

    image: NDArray[np.uint8]
    items: tuple[Item, ...]
    counted: NDArray[np.bool_]
    """(C,) bool: classes whose every occurrence is annotated."""
    name: str = ""
    """Of its file."""


def load_photos(images: Collection[CocoImage], photos: PhotoSet, classes: Sequence[str]) -> list[Photo]:
    """Decode `images`, and translate their objects to `classes`."""
    counted = np.array([name not in photos.uncounted for name in classes])
    return [load_photo(image, photos, classes, counted) for image in images]


def load_photo(
    image: CocoImage,
    photos: PhotoSet,
    classes: Sequence[str],
    counted: NDArray[np.bool_],
    max_side_px: int = MAX_SIDE_PX,
) -> Photo:
    """Decode `image`, shrunk to `max_side_px` where it is larger. Raises DatasetError."""
    pixels = read_image(image)
    scale = min(1.0, max_side_px / max(image.size_hw))
    if scale < 1:
        pixels = np.asarray(
            cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    items = []
    for annotation in image.annotations:
        name = photos.renamed.get(annotation.class_name, annotation.class_name)
        name = name if name in classes else REST
        if name not in classes:
            continue  # a class of crowds alone, which is not trained
        class_id = classes.index(name)
        if annotation.rle is None:
            polygons = tuple(p * np.float32(scale) for p in annotation.polygons)
        else:
            polygons = rings_of_mask(annotation.mask(image.size_hw), scale)
        if polygons:
            items.append(Item(class_id, annotation.crowd, polygons, even_odd=annotation.rle is not None))
    return Photo(pixels, tuple(items), counted, image.path.name)


def rings_of_mask(mask: NDArray[np.bool_], scale: float) -> tuple[NDArray[np.float32], ...]:
    """Outlines of a mask (H, W), those of its holes too, in pixels of the picture shrunk by `scale`."""
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    if not w:
        return ()
    size = max(1, round(w * scale)), max(1, round(h * scale))
    small = cv2.resize(mask[y : y + h, x : x + w].view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    fine = cv2.resize(small, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_NEAREST)
    rings, _ = cv2.findContours(np.asarray(fine >= 128, np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    stretch = np.array([w * scale / size[0], h * scale / size[1]]) / FINE
    corner = np.array([x, y]) * scale
    kept = (ring.reshape(-1, 2) for ring in rings if len(ring) >= 3)
    return tuple(((ring + 0.5) * stretch + corner).astype(np.float32) for ring in kept)
