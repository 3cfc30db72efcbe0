"""Image files: which are there, and how large they are, without decoding them.

Tested in tests/datasets/test_read.py.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from streamseg.errors import DatasetError

__all__ = ["IMAGE_SUFFIXES", "image_size_hw", "list_images"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
ORIENTATION = 0x0112
LYING = (5, 6, 7, 8)
"""Values of EXIF's orientation under which the picture is turned by a quarter when it is decoded."""


def list_images(folder: Path) -> list[Path]:
    """The image files in a folder and those below it, sorted. Raises DatasetError when there is none."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise DatasetError(f"{folder}: no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return found


def image_size_hw(path: Path) -> tuple[int, int]:
    """Height and width in pixels as the file will be decoded, from its header. Raises DatasetError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # nothing is decompressed
            with Image.open(path) as image:
                width, height = image.size
                lying = image.getexif().get(ORIENTATION) in LYING
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path}: not an image that can be read ({error})") from error
    return (width, height) if lying else (height, width)
