"""Pictures of what is annotated, to look at before training. Tested in tests/datasets/test_check.py."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.datasets.coco import CocoImage, read_image
from streamseg.overlay.palette import PALETTE, Colour

__all__ = ["outline_sheet"]

TILE_HW = (270, 360)
COLUMNS = 4
TEXT_PX = 14


def outline_sheet(images: Sequence[CocoImage], classes: Sequence[str]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: the images in a grid, every object outlined and named, crowds in grey."""
    tiles = [_tile(image, classes) for image in images]
    tiles += [np.zeros((*TILE_HW, 3), np.uint8)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)


def _tile(image: CocoImage, classes: Sequence[str]) -> NDArray[np.uint8]:
    height, width = image.size_hw
    scale = min(TILE_HW[0] / height, TILE_HW[1] / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    tile = np.zeros((*TILE_HW, 3), np.uint8)
    tile[: size[1], : size[0]] = cv2.resize(read_image(image), size, interpolation=cv2.INTER_AREA)
    for annotation in image.annotations:
        colour = (
            (150, 150, 150)
            if annotation.crowd
            else PALETTE[classes.index(annotation.class_name) % len(PALETTE)]
        )
        rings = [np.round(ring * scale).astype(np.int32) for ring in annotation.outlines(image.size_hw)]
        if rings:
            cv2.polylines(tile, rings, True, colour, 2, cv2.LINE_AA)
            x, y = np.concatenate(rings).min(axis=0)
            at = max(int(x), 0), max(int(y) - 3, TEXT_PX)
            _write(tile, annotation.class_name, at, colour)
    _write(tile, image.path.name, (3, TILE_HW[0] - 5), (255, 255, 255))
    return tile


def _write(tile: NDArray[np.uint8], text: str, at: tuple[int, int], colour: Colour) -> None:
    for shade, thickness in (((0, 0, 0), 3), (colour, 1)):
        cv2.putText(tile, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, shade, thickness, cv2.LINE_AA)
