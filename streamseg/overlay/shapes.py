"""Zones and lines: an outline or a line with an arrow, and a label."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.overlay.labels import Labels, Style
from streamseg.overlay.palette import Colour
from streamseg.structures import Mark

__all__ = ["ACTIVE", "IDLE", "draw_marks", "label_marks"]

IDLE: Colour = (255, 255, 255)
ACTIVE: Colour = (0, 200, 255)
"""Of a zone in which something goes on."""

_EDGE: Colour = (0, 0, 0)
_ARROW = 18.0
"""Length of a line's arrow, in thicknesses."""


def draw_marks(canvas: NDArray[np.uint8], marks: Sequence[Mark], style: Style) -> None:
    """Draw outlines of zones, and lines with an arrow to their forward side, each with a dark edge."""
    for mark in marks:
        colour = ACTIVE if mark.active else IDLE
        for ink, thickness in ((_EDGE, style.line + 2), (colour, style.line)):
            _lines(canvas, mark.points, not mark.is_line, ink, thickness)
            if mark.is_line:
                start, end = _arrow(mark.points, _ARROW * style.line)
                tip = 0.4
                a, b = (tuple(np.rint(p).astype(int).tolist()) for p in (start, end))
                cv2.arrowedLine(canvas, a, b, ink, thickness, cv2.LINE_AA, 0, tip)


def label_marks(labels: Labels, marks: Sequence[Mark]) -> None:
    """Place a label at the upper left corner of each zone, and at the first point of each line."""
    for mark in marks:
        extent = mark.points[:1] if mark.is_line else mark.points
        (x1, y1), (x2, y2) = extent.min(axis=0).tolist(), extent.max(axis=0).tolist()
        labels.add(mark.name, f": {mark.text}", (x1, y1, x2, y2), ACTIVE if mark.active else IDLE)


def _lines(
    canvas: NDArray[np.uint8], points: NDArray[np.float32], closed: bool, ink: Colour, thickness: int
) -> None:
    cv2.polylines(canvas, [np.rint(points - 0.5).astype(np.int32)], closed, ink, thickness, cv2.LINE_AA)


def _arrow(points: NDArray[np.float32], length: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """From the middle of the line's middle part to its forward side, which is its right on the screen."""
    k = (len(points) - 2) // 2
    way = points[k + 1] - points[k]
    right = np.array([-way[1], way[0]], np.float32) / max(float(np.hypot(*way)), 1e-6)
    middle = (points[k] + points[k + 1]) / 2
    return middle, middle + right * length
