"""The photographs that `shapes` is trained and measured on, and which of them are never trained on.

Tested in tests/training/test_mixture.py.
"""

from __future__ import annotations

from pathlib import Path

from streamseg.bundled.davis import read_davis
from streamseg.datasets.coco import CocoImage, read_coco
from streamseg.datasets.photo_set import PhotoSet
from streamseg.datasets.split import held_out
from streamseg.models.yolact.catalog import REST

__all__ = ["CLIPS", "CLIP_CLASSES", "PHOTO_SETS", "read_clips", "read_split"]


VEHICLES = ("car", "bus", "truck", "motorcycle")

PHOTO_SETS = (
    PhotoSet(
        "coco_train288",
        share=0.45,
        held_out_share=40 / 288,
        licence="annotations CC BY 4.0; images: Flickr, each under its own licence, many non-commercial",
        near_duplicates=frozenset({"000000000312.jpg"}),
    ),
    PhotoSet(
        "cats_feral",
        share=0.33,
        held_out_share=0.1,
        licence="Public Domain as stated by its source; at least one agency photo among them",
        uncounted=("person", "dog", *VEHICLES, REST),
        near_duplicates=frozenset({"cats_feral_00480.jpg", "cats_feral_00671.jpg", "cats_feral_00840.jpg"}),
    ),
    PhotoSet(
        "animals7",
        share=0.22,
        held_out_share=0.1,
        licence="CC BY 4.0",
        uncounted=("person", "cat", "dog", *VEHICLES, REST),
        renamed={"rhesus monkey": "monkey"},
        near_duplicates=frozenset({"animals7_00056.jpg"}),
    ),
)
"""Twins were found by the correlation (≥ 0.97) of 12 × 12 grey thumbnails, also mirrored."""

CLIPS = PhotoSet(
    "davis",
    share=0.06,
    held_out_share=0.0,
    licence="CC BY-NC 4.0",
    uncounted=("person", *VEHICLES, REST),
)
"""Moving pictures of one thing each; it takes its share before the others divide the rest."""
CLIP_CLASSES = {"dance-twirl": "person", "car-shadow": "car", "blackswan": "swan"}
EVERY = 3
"""One in so many frames of a clip; neighbours are nearly equal."""


def read_clips(data: Path) -> list[CocoImage]:
    """Frames to train on; none is held out. Raises DatasetError."""
    return read_davis(data / CLIPS.folder, CLIP_CLASSES, EVERY)


def read_split(data: Path, photos: PhotoSet) -> tuple[list[CocoImage], list[CocoImage]]:
    """Images to train on, and those held out. Raises DatasetError."""
    folder = data / photos.folder
    images = read_coco(folder / "instances.json", folder / "images").images
    out = held_out((image.path.name for image in images), photos.held_out_share)
    train = [image for image in images if image.path.name not in out]
    return train, [image for image in images if image.path.name in out]
