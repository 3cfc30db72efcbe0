"""From a photograph, or a cut-out of one, to something never seen before.

Tested in tests/training/test_canvas.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.training.canvas import Canvas, Patch
from streamseg.training.photos import Item, Photo

__all__ = [
    "draw_view",
    "jitter_colours",
    "paste_item",
    "paste_sprite",
    "view_of_item",
    "view_of_photo",
    "window_matrix",
]

Rng = np.random.Generator
Matrix = NDArray[np.float64]
FILL_BGR = (104, 117, 124)
HUE = 9.0
"""How far a hue moves, in OpenCV's half degrees."""
MOST_ZOOM = 3.0
"""Pixels of the canvas to a pixel of the photograph: beyond it objects are a blur."""
FINE = 4
"""Masks are drawn this many times as large as they are."""


def view_of_photo(rng: Rng, photo: Photo, size_hw: tuple[int, int]) -> Canvas:
    """A random window of the photograph, zoomed, stretched a little and perhaps mirrored."""
    h, w = photo.image.shape[:2]
    if rng.random() < 0.25:
        zoom, stretch = 1.0, 1.0
    else:
        zoom, stretch = np.exp(rng.uniform(np.log(0.6), np.log(2.2))), np.exp(rng.uniform(-0.2, 0.2))
    window = np.array([w / zoom * stretch, h / zoom / stretch])
    corner = rng.uniform(np.minimum(0, [w, h] - window), np.maximum(0, [w, h] - window))
    matrix = window_matrix(corner, window, size_hw, mirror=rng.random() < 0.5)
    return draw_view(photo, matrix, size_hw, FILL_BGR)


def view_of_item(rng: Rng, photo: Photo, item: Item, size_hw: tuple[int, int]) -> Canvas:
    """A window around an object of the photograph, whose sides are up to five quarters of the window's.

    Up to a third of its width and of its height may lie outside.
    """
    h, w = photo.image.shape[:2]
    points = np.concatenate(item.polygons)
    low, high = points.min(axis=0), points.max(axis=0)
    canvas_wh = np.array(size_hw[::-1])
    share = np.exp(rng.uniform(np.log(0.12), np.log(1.25)))
    scale = float(np.min(canvas_wh * share / np.maximum(high - low, 2.0)))
    # Not smaller than a view of the whole photograph, and no pixel of it larger than MOST_ZOOM of the canvas.
    scale = float(np.clip(scale, 0.8 * np.min(canvas_wh / (w, h)), MOST_ZOOM))
    stretch = np.exp(rng.uniform(-0.2, 0.2))
    window = canvas_wh / scale * (stretch, 1 / stretch)
    slack = (high - low) / 3
    corner = rng.uniform(np.minimum(high - window, low) - slack, np.maximum(high - window, low) + slack)
    corner = np.clip(corner, np.minimum(0, [w, h] - window), np.maximum(0, [w, h] - window))
    matrix = window_matrix(corner, window, size_hw, mirror=rng.random() < 0.5)
    return draw_view(photo, matrix, size_hw, FILL_BGR)


def window_matrix(
    corner: NDArray[np.float64], window: NDArray[np.float64], size_hw: tuple[int, int], *, mirror: bool
) -> Matrix:
    """(2, 3) what takes the window (x y of its corner, width and height, pixels) to the whole canvas."""
    scale = np.array(size_hw[::-1]) / window
    matrix = np.array([[scale[0], 0, -corner[0] * scale[0]], [0, scale[1], -corner[1] * scale[1]]])
    if mirror:
        matrix[0] = [-matrix[0, 0], 0, size_hw[1] - matrix[0, 2]]
    return matrix


def draw_view(photo: Photo, matrix: Matrix, size_hw: tuple[int, int], fill_bgr: Sequence[float]) -> Canvas:
    """The photograph and its objects as `matrix` moves them; `fill_bgr` where there is none of it."""
    canvas = Canvas(warp(photo.image, matrix, size_hw, fill_bgr), photo.counted, name=photo.name)
    for item in photo.items:
        canvas.regions.append(region_of_item(item, matrix, size_hw))
    return canvas


def warp(
    image: NDArray[np.uint8], matrix: Matrix, size_hw: tuple[int, int], fill: Sequence[float]
) -> NDArray[np.uint8]:
    """Affine warp, bilinear, averaging when it shrinks much; pixel i covers i…i+1 in `matrix`."""
    shrink = max(1, round(1 / float(np.abs(matrix[:, :2]).max(axis=1).min())))
    if shrink > 1:
        h, w = image.shape[:2]
        small = max(w // shrink, 1), max(h // shrink, 1)
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = matrix @ np.diag([w / small[0], h / small[1], 1])
    # cv2 puts pixel centres at whole numbers.
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    warped = cv2.warpAffine(
        image,
        centred,
        size_hw[::-1],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=fill,
    )
    return np.asarray(warped, np.uint8)


def region_of_item(item: Item, matrix: Matrix, size_hw: tuple[int, int]) -> Patch:
    """The item's region after `matrix`."""
    rings = [polygon @ matrix[:, :2].T + matrix[:, 2] for polygon in item.polygons]
    areas = [float(cv2.contourArea(ring.astype(np.float32), oriented=True)) for ring in rings]
    # Holes run the other way round than what they are in.
    whole = abs(sum(areas)) if item.even_odd else sum(abs(area) for area in areas)
    return Patch(item.class_id, item.ignore, fill(rings, size_hw, even_odd=item.even_odd), whole)


def fill(
    rings: Sequence[NDArray[np.floating]], size_hw: tuple[int, int], *, even_odd: bool = False
) -> NDArray[np.uint8]:
    """(H, W) uint8: 255 where a pixel is covered by half or more, 0 elsewhere.

    cv2.fillPoly also draws every pixel that the outline touches, which makes objects half a pixel too large
    all around; drawn four times as large, that is an eighth.
    """
    mask = np.zeros(size_hw, np.uint8)
    points = np.concatenate(rings)
    x0, y0 = np.clip(np.floor(points.min(axis=0)), 0, size_hw[::-1]).astype(int)
    x1, y1 = np.clip(np.ceil(points.max(axis=0)), 0, size_hw[::-1]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return mask
    fine = np.zeros(((y1 - y0) * FINE, (x1 - x0) * FINE), np.uint8)
    moved = [np.clip((ring - (x0, y0)) * FINE - 0.5, -16000, 16000) for ring in rings]
    eighths = [np.round(ring * 8).astype(np.int32) for ring in moved]
    for group in [eighths] if even_odd else [[ring] for ring in eighths]:
        cv2.fillPoly(fine, group, 255, cv2.LINE_8, shift=3)
    coarse = cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    mask[y0:y1, x0:x1] = np.where(coarse >= 128, 255, 0)
    return mask


def paste_item(rng: Rng, canvas: Canvas, photo: Photo, item: Item) -> None:
    """Cut `item` out of its photograph and lay it somewhere on the canvas, at a random size."""
    size_hw = canvas.image.shape[0], canvas.image.shape[1]
    points = np.concatenate(item.polygons)
    low, high = points.min(axis=0), points.max(axis=0)
    side = np.array(size_hw).min() * np.exp(rng.uniform(np.log(0.12), np.log(0.85)))
    scale = min(float(side / max(*(high - low), 4.0)), 2.5)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    angle = rng.normal(0, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([mirror * scale * np.exp(rng.uniform(-0.1, 0.1)), scale])
    at = rng.uniform(0.05, 0.95, 2) * size_hw[::-1]
    matrix = np.column_stack([linear, at - linear @ (low + high) / 2])
    region = region_of_item(item, matrix, size_hw)
    colours = warp(photo.image, matrix, size_hw, FILL_BGR)
    if rng.random() < 0.7:
        colours = jitter_colours(rng, colours)
    alpha = np.asarray(cv2.GaussianBlur(region.mask, (3, 3), 0), np.uint8)
    canvas.paste(colours, alpha, region)


def paste_sprite(
    rng: Rng, canvas: Canvas, bgr: NDArray[np.uint8], alpha: NDArray[np.uint8], class_id: int
) -> None:
    """Lay a sprite, turned at random, somewhere on the canvas."""
    size_hw = canvas.image.shape[0], canvas.image.shape[1]
    h, w = alpha.shape
    angle, squash = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(-0.35, 0.35))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([squash, 1 / squash])
    at = rng.uniform(0.0, 1.0, 2) * size_hw[::-1]
    matrix = np.column_stack([linear, at - linear @ [w / 2, h / 2]])
    colours = warp(bgr, matrix, size_hw, FILL_BGR)
    cover = warp(alpha, matrix, size_hw, (0,))
    mask = np.where(cover >= 128, 255, 0).astype(np.uint8)
    canvas.paste(colours, cover, Patch(class_id, False, mask, float((alpha >= 128).sum())))


def jitter_colours(rng: Rng, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation and hue moved at random, each with probability ½."""
    ramp = np.arange(256, dtype=np.float32)
    if rng.random() < 0.5:
        ramp = ramp + rng.uniform(-32, 32)
    if rng.random() < 0.5:
        ramp = (ramp - 117) * rng.uniform(0.6, 1.4) + 117
    image = np.asarray(cv2.LUT(image, np.clip(ramp, 0, 255).astype(np.uint8)), np.uint8)
    saturate, shift = rng.random() < 0.5, rng.random() < 0.5
    if not (saturate or shift):
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    tables = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, axis=1)
    if shift:
        tables[:180, 0] = (tables[:180, 0] + rng.uniform(-HUE, HUE)) % 180
    if saturate:
        tables[:, 1] *= rng.uniform(0.5, 1.5)
    hsv = cv2.LUT(hsv, np.clip(tables, 0, 255).astype(np.uint8)[None])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)
