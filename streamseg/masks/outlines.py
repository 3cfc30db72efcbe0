"""Outlines for a person to correct. Tested in tests/datasets/test_labels.py."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks.regions import Region

__all__ = ["outer_rings"]

TOLERANCE_PX = 1.0
"""Outlines leave the mask's border by at most so much (Douglas-Peucker): few points are easier to move."""
LEAST_PX = 2.0
"""Parts of a mask that are smaller than this in both directions are left out."""


def outer_rings(region: Region) -> tuple[NDArray[np.float32], ...]:
    """Outlines (n ≥ 3, 2) in pixels of the frame, one for each part."""
    if not region.bits.size:
        return ()
    # OpenCV's outlines run through the centres of border pixels, those of quarters of pixels near their edge.
    quarters = np.repeat(np.repeat(region.bits.view(np.uint8), 2, axis=0), 2, axis=1)
    rings, _ = cv2.findContours(quarters, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = []
    for ring in rings:
        edge = (ring + 0.5) / 2 + region.origin_xy
        simple = cv2.approxPolyDP(edge.astype(np.float32), TOLERANCE_PX, True)[:, 0]
        if len(simple) >= 3 and np.ptp(simple, axis=0).max() >= LEAST_PX:
            outlines.append(np.asarray(simple, np.float32))
    return tuple(outlines)
