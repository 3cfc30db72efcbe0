"""The photographs that the bundled engine's masks are learnt from.

Tested in tests/bundled/test_masks.py.
"""

from __future__ import annotations

from pathlib import Path

from streamseg.datasets.coco import read_coco
from streamseg.datasets.photo_set import PhotoSet
from streamseg.models.coco_classes import COCO_CLASSES
from streamseg.models.yolact.catalog import REST
from streamseg.training.mixture import Mixture
from streamseg.training.photos import Photo, load_photos

__all__ = ["MASK_CLASSES", "MASK_SETS", "mask_mixture"]

COCO_LICENCE = "annotations CC BY 4.0; images: Flickr, each under its own licence, many non-commercial"
MASK_CLASSES = (*COCO_CLASSES, REST)
"""A mask can be learnt of an object that the detector has no name for."""
MASK_SETS = (
    PhotoSet("coco_train288", share=0.5, held_out_share=0.0, licence=COCO_LICENCE),
    PhotoSet("coco_more", share=0.28, held_out_share=0.0, licence=COCO_LICENCE),
    PhotoSet(
        "animals7",
        share=0.11,
        held_out_share=0.0,
        licence="CC BY 4.0",
    ),
    PhotoSet(
        "cats_feral",
        share=0.11,
        held_out_share=0.0,
        licence="Public Domain as stated by its source; at least one agency photo among them",
    ),
)
"""Nothing is held out: what comes of it is measured on pictures of COCO val2017, none of which are here."""
PASTE_SHARE = 0.3


def mask_mixture(data: Path, input_hw: tuple[int, int]) -> Mixture:
    """Load the photographs below `data`. Raises DatasetError."""
    loaded = tuple((photos.share, load_set(data, photos)) for photos in MASK_SETS)
    return Mixture(
        loaded,
        input_hw,
        len(MASK_CLASSES),
        MASK_CLASSES.index(REST),
        scene_share=0.0,
        sprite_share=0.0,
        paste_share=PASTE_SHARE,
    )


def load_set(data: Path, photos: PhotoSet) -> list[Photo]:
    """All photographs of one set."""
    folder = data / photos.folder
    return load_photos(read_coco(folder / "instances.json", folder / "images").images, photos, MASK_CLASSES)
