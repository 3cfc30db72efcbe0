"""A folder of masks: `images/NAME.jpg` and, for each class, `masks/CLASS/NAME.png`.
Tested in tests/datasets/test_read.py.

In a mask every value but 0 is one object, so 0 and 255 say one, and 0, 1, 2, 3 say three. Objects that
overlap have files of their own: `NAME_1.png`, `NAME_2.png`. Masks directly in `masks/`
are of one class, `object`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_codec

from streamseg.datasets.coco import Annotation, CocoDataset, CocoImage, LeftOut
from streamseg.datasets.image_files import image_size_hw, list_images
from streamseg.errors import DatasetError

__all__ = ["objects_of_mask", "read_mask_folder"]

ONLY_CLASS = "object"
MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
"""Formats without loss; JPEG makes new values along every outline."""
MOST_OBJECTS = 2000
"""Values of one mask; more means that it is a picture."""


def read_mask_folder(path: Path, left_out: LeftOut | None = None) -> CocoDataset:
    """Read `path/images` and `path/masks`. Raises DatasetError.

    An image without a mask shows no object. With `left_out`, which is told of them, files that cannot be used
    are left out.
    """
    folders = sorted(folder for folder in (path / "masks").iterdir() if folder.is_dir())
    by_class = {folder.name: folder for folder in folders} or {ONLY_CLASS: path / "masks"}
    images = _by_stem(list_images(path / "images"), left_out)
    masks = _masks_by_image(by_class, images, left_out)
    listed = []
    for number, (stem, file) in enumerate(images.items(), start=1):
        try:
            size_hw = image_size_hw(file)
        except DatasetError as error:
            _report(str(error), left_out)
            continue
        annotations = [
            a for name, mask in masks[stem] for a in objects_of_mask(mask, name, size_hw, left_out)
        ]
        listed.append(CocoImage(number, file, size_hw, tuple(annotations)))
    return CocoDataset(path, tuple(by_class), tuple(listed), tuple(range(1, len(by_class) + 1)))


def _by_stem(files: list[Path], left_out: LeftOut | None) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for file in files:
        if images.setdefault(file.stem, file) is not file:
            _report(
                f"{file}: {images[file.stem].name} has the same name, so their masks cannot be told", left_out
            )
    return images


def _masks_by_image(
    by_class: dict[str, Path], images: dict[str, Path], left_out: LeftOut | None
) -> dict[str, list[tuple[str, Path]]]:
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for name, folder in by_class.items():
        for file in sorted(f for f in folder.iterdir() if f.is_file()):
            stem = file.stem if file.stem in images else re.sub(r"_\d+$", "", file.stem)
            if stem not in images:
                _report(f"{file}: no image of that name", left_out)
            elif file.suffix.lower() not in MASK_SUFFIXES:
                _report(f"{file}: masks are {', '.join(MASK_SUFFIXES)} files", left_out)
            else:
                found[stem].append((name, file))
    return found


def objects_of_mask(
    file: Path, name: str, size_hw: tuple[int, int], left_out: LeftOut | None = None
) -> Iterator[Annotation]:
    """One annotation of class `name` for every value but 0 of the mask in `file`, of an image of `size_hw`.

    Raises DatasetError for what is no mask, or tells `left_out`.
    """
    try:
        values = _read_mask(file, size_hw)
        ids = np.unique(values)
        if len(ids) > MOST_OBJECTS:
            raise ValueError(f"{len(ids)} different values: not a mask")
    except ValueError as error:
        _report(f"{file}: {error}", left_out)
        return
    for value in ids[ids > 0]:
        region = values == value
        packed = rle_codec.encode(np.asfortranarray(region.view(np.uint8)))
        yield Annotation(name, False, (), packed, float(np.count_nonzero(region)))


def _read_mask(file: Path, size_hw: tuple[int, int]) -> NDArray[np.generic]:
    pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("cannot be decoded")
    if pixels.ndim == 3:
        if (pixels[..., :3] != pixels[..., :1]).any():
            raise ValueError("a colour image; a mask has one channel, 0 for background")
        pixels = pixels[..., 0]
    if pixels.shape != size_hw:
        raise ValueError(f"{pixels.shape[1]}x{pixels.shape[0]}, its image is {size_hw[1]}x{size_hw[0]}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"values of type {pixels.dtype}; expected 8 or 16 bits")
    return np.asarray(pixels)


def _report(text: str, left_out: LeftOut | None) -> None:
    if left_out is None:
        raise DatasetError(text)
    left_out(text)
