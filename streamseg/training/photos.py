"""Annotated photographs in memory, decoded once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.datasets.coco import CocoImage, read_image
from streamseg.datasets.photo_sets import PhotoSet

__all__ = ["OTHER", "Item", "Photo", "load_photos"]

OTHER = -1
"""Class of an annotated object that is none of ours: background, but good to paste."""

MAX_SIDE_PX = 512


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One annotated object; `ignore` regions are neither object nor background."""

    class_id: int
    ignore: bool
    polygons: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One picture, its long side at most MAX_SIDE_PX, and its objects in its own pixels."""

    image: NDArray[np.uint8]
    items: tuple[Item, ...]
    counted: NDArray[np.bool_]
    """(C,) bool: classes whose every occurrence is annotated."""


def load_photos(images: Collection[CocoImage], photos: PhotoSet, classes: Sequence[str]) -> list[Photo]:
    """Decode `images`, and translate their objects to `classes`."""
    counted = np.array([name not in photos.uncounted for name in classes])
    return [_load(image, photos, classes, counted) for image in images]


def _load(image: CocoImage, photos: PhotoSet, classes: Sequence[str], counted: NDArray[np.bool_]) -> Photo:
    pixels = read_image(image)
    scale = min(1.0, MAX_SIDE_PX / max(image.size_hw))
    if scale < 1:
        pixels = np.asarray(
            cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    items = []
    for annotation in image.annotations:
        name = photos.renamed.get(annotation.class_name, annotation.class_name)
        class_id = classes.index(name) if name in classes else OTHER
        polygons = tuple(p * np.float32(scale) for p in annotation.outlines(image.size_hw))
        ignore = name in photos.ignored or (annotation.crowd and class_id != OTHER)
        if polygons and not (annotation.crowd and not ignore):
            items.append(Item(class_id, ignore, polygons))
    return Photo(pixels, tuple(items), counted)
