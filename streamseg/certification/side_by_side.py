"""Two engines' results on one frame, next to each other, with what differs outlined."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.overlay.labels import style_for
from streamseg.overlay.painter import Painter
from streamseg.structures import Frame, Instances, Tracks

__all__ = ["side_by_side"]

Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Side = tuple[Instances, str]
"""Instances of the frame and the line for the corner."""

RED = (0, 0, 255)
YELLOW = (0, 255, 255)
GAP_PX = 4


NO_BOXES = np.zeros((0, 4), np.float32)


def side_by_side(
    frame: Frame,
    left: Side,
    right: Side,
    differs: NDArray[np.bool_],
    class_names: Sequence[str],
    moved: tuple[Boxes, Boxes] = (NO_BOXES, NO_BOXES),
) -> Image:
    """(H, 2 W + 4, 3) uint8 BGR: the frame with the left side's instances | with the right's.

    `differs` (H, W) bool is outlined in red on both, but for slivers thinner than three pixels: every edge
    has some. `moved` are boxes of the left and of the right, (n, 4) in frame pixels: yellow.
    """
    painter = Painter()
    style = style_for(frame.size_hw)
    thick = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    rings, _ = cv2.findContours(thick, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    halves = []
    for (instances, text), boxes in zip((left, right), moved, strict=True):
        canvas = painter.draw(frame, instances, Tracks.untracked(instances), class_names, status=text)
        cv2.polylines(canvas, list(rings), True, RED, 1 + style.line)
        for x1, y1, x2, y2 in np.rint(boxes).astype(int).tolist():
            cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), YELLOW, 1 + style.line)
        halves.append(canvas)
    gap = np.zeros((frame.size_hw[0], GAP_PX, 3), np.uint8)
    return np.hstack([halves[0], gap, halves[1]])
