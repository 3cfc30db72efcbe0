"""Sequences of DAVIS-2016 (Perazzi et al., CVPR 2016): one object followed through a clip, a mask a frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamseg.datasets.coco import CocoImage
from streamseg.datasets.image_files import image_size_hw, list_images
from streamseg.datasets.mask_folder import objects_of_mask
from streamseg.errors import DatasetError

__all__ = ["read_davis"]


def read_davis(folder: Path, class_of: Mapping[str, str], every: int) -> list[CocoImage]:
    """Every so-many-th frame of the sequences in `class_of`, which names what each of them follows.

    `folder` holds JPEGImages/SEQUENCE/00000.jpg … and Annotations/SEQUENCE/00000.png …. Raises DatasetError.
    """
    found: list[CocoImage] = []
    for sequence, name in class_of.items():
        for file in list_images(folder / "JPEGImages" / sequence)[::every]:
            mask = folder / "Annotations" / sequence / f"{file.stem}.png"
            if not mask.is_file():
                raise DatasetError(f"{mask}: no such file; {file} has no mask")
            size_hw = image_size_hw(file)
            found.append(
                CocoImage(len(found) + 1, file, size_hw, tuple(objects_of_mask(mask, name, size_hw)))
            )
    return found
