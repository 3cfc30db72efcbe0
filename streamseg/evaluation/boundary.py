"""How far apart the outlines of two masks are, in pixels of the frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks import Region

__all__ = ["boundary_distances", "boundary_error_px"]

Bits = NDArray[np.uint8]


def boundary_error_px(a: Region, b: Region) -> float:
    """Average symmetric distance of the outlines of two masks, neither of them empty; 0 when they are equal.

    The mean, over the border pixels of both, of the distance to the nearest border pixel of the other
    ("average symmetric surface distance", Heimann et al. 2009, in two dimensions).
    """
    return float(boundary_distances(a, b).mean())


def boundary_distances(a: Region, b: Region) -> NDArray[np.float32]:
    """(n,) distances in pixels: of each border pixel of `a` to the border of `b`, then the other way round.

    A border pixel is one of the mask's with a pixel above, below, left or right of it that is not; the
    frame's edge counts as such.
    """
    border_a, border_b = _borders(a, b)
    return np.concatenate([_distance_to(border_b)[border_a > 0], _distance_to(border_a)[border_b > 0]])


def _borders(a: Region, b: Region) -> tuple[Bits, Bits]:
    """The border pixels of both, 1 and 0, on one canvas that holds both and a pixel more on every side."""
    left, top = (min(p, q) for p, q in zip(a.origin_xy, b.origin_xy, strict=True))
    right = max(r.origin_xy[0] + r.bits.shape[1] for r in (a, b))
    bottom = max(r.origin_xy[1] + r.bits.shape[0] for r in (a, b))
    size_hw = bottom - top + 2, right - left + 2
    first, second = (_border(_placed(r, left - 1, top - 1, size_hw)) for r in (a, b))
    return first, second


def _placed(region: Region, left: int, top: int, size_hw: tuple[int, int]) -> Bits:
    canvas = np.zeros(size_hw, np.uint8)
    x, y = region.origin_xy[0] - left, region.origin_xy[1] - top
    canvas[y : y + region.bits.shape[0], x : x + region.bits.shape[1]] = region.bits
    return canvas


def _border(bits: Bits) -> Bits:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return np.asarray(bits - cv2.erode(bits, cross), np.uint8)


def _distance_to(border: Bits) -> NDArray[np.float32]:
    """(h, w) exact Euclidean distance of every pixel to the nearest border pixel."""
    distance = cv2.distanceTransform(1 - border, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, np.float32)
