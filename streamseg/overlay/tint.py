"""Masks as translucent colour: every mask painted into one picture, one blend for the frame.

Tested in tests/overlay/test_painter.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks import Region
from streamseg.overlay.palette import Colour

__all__ = ["OPACITY", "Tint"]

OPACITY = 0.45
"""Share of the colour in a tinted pixel; the rest is the frame."""

Image = NDArray[np.uint8]


class Tint:
    """Colours the masks of one frame after another; keeps its buffers while the size stays the same.

    Painting opaquely and blending once takes two thirds of the time of a label map with cv2.applyColorMap,
    which beat a blend per instance by three to one. Where nothing was painted, blending equal values leaves
    them as they are.
    """

    def __init__(self) -> None:
        self._flat: Image = np.zeros(0, np.uint8)

    def apply(
        self, canvas: Image, image: Image, regions: Sequence[Region], colours: Sequence[Colour]
    ) -> None:
        """Blend `colours[k]` into the pixels of `regions[k]`; later ones lie on top.

        `canvas` is a copy of `image`.
        """
        bounds = _bounds(regions)
        if bounds is None:
            return
        if self._flat.size != canvas.size:
            self._flat = np.empty(canvas.size, np.uint8)
        for region, colour in zip(regions, colours, strict=True):
            self._paint(canvas, region, colour)
        part = canvas[bounds]
        cv2.addWeighted(image[bounds], 1 - OPACITY, part, OPACITY, 0, dst=part)

    def _paint(self, canvas: Image, region: Region, colour: Colour) -> None:
        (x, y), (h, w) = region.origin_xy, region.bits.shape
        if not region.bits.size:
            return
        # A masked copy of a constant: 4 times as fast as numpy's masked assignment. Filled by rows: twice as
        # fast as cv2.rectangle.
        flat = self._flat[: h * w * 3].reshape(h, w, 3)
        flat[0] = colour
        flat[1:] = flat[0]
        cv2.copyTo(flat, region.bits.view(np.uint8), canvas[y : y + h, x : x + w])


def _bounds(regions: Iterable[Region]) -> tuple[slice, slice] | None:
    """Rows and columns that hold every region; None when none has a pixel."""
    corners = [(x, y, x + b.shape[1], y + b.shape[0]) for (x, y), b in regions if b.size]
    if not corners:
        return None
    x0, y0, x1, y1 = zip(*corners, strict=True)
    return slice(min(y0), max(y1)), slice(min(x0), max(x1))
