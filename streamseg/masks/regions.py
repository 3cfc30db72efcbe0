"""The pixels of one instance, cut to where they are, and their outlines.

Tested in tests/masks/test_frame_masks.py. Further in test_box_grids.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks.runs import Runs, gaps

__all__ = ["Region", "contours", "polygons_from_region", "region_from_runs"]


class Region(NamedTuple):
    """Part of the frame that holds every pixel of one instance."""

    origin_xy: tuple[int, int]
    """Pixel of the frame at which `bits` begins."""
    bits: NDArray[np.bool_]
    """(h, w) bool, inside the frame; 0 × 0 when the instance has no pixel."""


_NOTHING = Region((0, 0), np.zeros((0, 0), np.bool_))


def region_from_runs(runs: Runs) -> Region:
    """The picture of `runs`."""
    if not len(runs.row):
        return _NOTHING
    x0, y0 = int(runs.column[0]), int(runs.row.min())
    width, height = int(runs.column[-1]) + 1 - x0, int(runs.row.max()) - y0
    if not height:
        return _NOTHING
    ends = (runs.column - x0) * height + (runs.row - y0)
    values = np.zeros(len(ends) + 1, np.uint8)
    values[1::2] = 1
    down_columns = np.repeat(values, gaps(ends, width * height)).reshape(width, height)
    return Region((x0, y0), cv2.transpose(down_columns).view(np.bool_))


def polygons_from_region(mask: Region, tolerance_px: float = 1.0) -> list[NDArray[np.float32]]:
    """Closed rings (n ≥ 3, 2) of x y in frame pixels: outer edges and holes, to be filled by even-odd rule.

    They run through the centres of the border pixels (a hole's through those around it), half a
    pixel inside the mask's true edge, and leave it by at most `tolerance_px`
    (Douglas-Peucker). Parts without an inside, such as a lone pixel, have no ring.
    """
    rings = (ring[:, 0] for ring in contours(mask, tolerance_px) if len(ring) >= 3)
    return [ring.astype(np.float32) + np.float32(0.5) for ring in rings]


def contours(mask: Region, tolerance_px: float = 0.0) -> list[NDArray[np.int32]]:
    """Rings (n, 1, 2) of x y indices of the border pixels, outer edges and holes, as OpenCV draws them.

    Simplified by Douglas-Peucker to within `tolerance_px`, where that is above 0.
    """
    if not mask.bits.size:
        return []
    rings, _ = cv2.findContours(
        mask.bits.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=mask.origin_xy
    )
    if tolerance_px > 0:
        rings = [cv2.approxPolyDP(ring, tolerance_px, True) for ring in rings]
    return [np.asarray(ring, np.int32) for ring in rings]
