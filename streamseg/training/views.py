"""Which part of a photograph is looked at, and how large: YOLACT's way, and scale jitter for the SOLOs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.training.canvas import Canvas
from streamseg.training.photos import Photo

__all__ = ["Window", "copy_paste", "expanded_or_cropped", "scale_jittered"]

Rng = np.random.Generator
Vector = NDArray[np.float64]

MOST_EXPANSION = 4.0
LEAST_CROP = 0.3
WHOLE_SHARE = 1 / 6
"""Of six ways to crop one leaves the picture whole; the others name a least overlap with an object, which
the published code draws and does not enforce."""
TRIES = 50
JITTER = 0.5, 2.0
"""Least and greatest size of a picture in scale jitter, as a share of what fits into the input."""
PASTE_EDGE = (3, 3)


class Window(NamedTuple):
    """Pixels of the photograph; it may reach beyond it."""

    corner: Vector
    """x y"""
    size: Vector
    """width height"""


def expanded_or_cropped(rng: Rng, photo: Photo) -> Window:
    """YOLACT's: half of the pictures shrink up to four times on a plain canvas, then most are cropped.

    A crop has 0.3 to 1 of the canvas's sides, an aspect between ½ and 2, and holds the centre of an object.
    """
    size = np.array(photo.image.shape[1::-1], np.float64)
    canvas = Window(np.zeros(2), size)
    if rng.random() < 0.5:
        ratio = rng.uniform(1, MOST_EXPANSION)
        canvas = Window(-rng.uniform(0, size * (ratio - 1)), size * ratio)
    if rng.random() < WHOLE_SHARE:
        return canvas
    centres = object_centres(photo)
    for _ in range(TRIES):
        part = rng.uniform(LEAST_CROP * canvas.size, canvas.size)
        corner = canvas.corner + rng.uniform(0, canvas.size - part)
        inside = ((centres > corner) & (centres < corner + part)).all(axis=1)
        if 0.5 <= part[1] / part[0] <= 2 and (inside.any() or not len(centres)):
            return Window(corner, part)
    return canvas


def object_centres(photo: Photo) -> Vector:
    """(n, 2) of the objects' boxes."""
    points = (np.concatenate(item.polygons) for item in photo.items if not item.ignore)
    return np.array([(p.min(axis=0) + p.max(axis=0)) / 2 for p in points], np.float64).reshape(-1, 2)


def scale_jittered(rng: Rng, photo: Photo, size_hw: tuple[int, int]) -> Window:
    """Scale jitter (Ghiasi et al. 2021): the aspect stays; a larger picture is cropped, a smaller one lies in
    the corner, as it does in use."""
    size = np.array(photo.image.shape[1::-1], np.float64)
    scale = float((size_hw[::-1] / size).min()) * np.exp(rng.uniform(*np.log(JITTER)))
    window = np.array(size_hw[::-1]) / scale
    return Window(rng.uniform(0, 1, 2) * np.maximum(0, size - window), window)


def copy_paste(rng: Rng, canvas: Canvas, other: Canvas) -> None:
    """Simple copy-paste (Ghiasi et al. 2021): a random subset of the objects of `other` lies over `canvas`.

    Nothing is moved: `other` is a view of its own. Edges are blurred by a pixel.
    """
    own = [region for region in other.regions if not region.ignore and region.mask.any()]
    chosen = [region for region in own if rng.random() < 0.5]
    if not chosen:
        return
    union = np.maximum.reduce([region.mask for region in chosen])
    alpha = np.asarray(cv2.GaussianBlur(union, PASTE_EDGE, 0), np.uint8)
    canvas.image = _blended(other.image, canvas.image, alpha)
    for region in canvas.regions:
        region.mask[union > 0] = 0
    canvas.regions.extend(chosen)


def _blended(
    above: NDArray[np.uint8], below: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    x, y, w, h = cv2.boundingRect(alpha)
    part: Sequence[slice] = (slice(y, y + h), slice(x, x + w))
    weight = alpha[*part, None].astype(np.uint16)
    mixed = below.copy()
    mixed[*part] = (above[*part] * weight + below[*part] * (255 - weight) + 127) // 255
    return mixed
