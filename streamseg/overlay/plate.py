"""What is behind the objects: a picture of the background, learned where no object is.

Tested in tests/overlay/test_effects.py.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["BackgroundPlate"]

Image = NDArray[np.uint8]

_MARGIN = 0.02
"""How far around an object nothing is learned, as a share of the picture's shorter side: shadows, soft edges,
and what the mask missed."""
_PACE = 0.1
"""Share of a new frame in what is known already: light changes, noise averages out."""


class BackgroundPlate:
    """One source's background. A person who stands still is never learned: only pixels outside widened masks
    are. A frame of another size begins anew."""

    def __init__(self) -> None:
        self._plate: NDArray[np.float32] = np.zeros((0, 0, 3), np.float32)
        self._known: Image = np.zeros((0, 0), np.uint8)

    def learn(self, image: Image, objects: Image) -> None:
        """Take in (H, W, 3) `image` where `objects` (H, W), 255 on any object, is 0 all around."""
        if self._known.shape != objects.shape:
            self._plate = np.zeros((*objects.shape, 3), np.float32)
            self._known = np.zeros(objects.shape, np.uint8)
        free = cv2.bitwise_not(widened(objects))
        again = cv2.bitwise_and(free, self._known)
        cv2.accumulateWeighted(image, self._plate, _PACE, again)
        first = cv2.bitwise_and(free, cv2.bitwise_not(self._known))
        if cv2.countNonZero(first):
            cv2.copyTo(image.astype(np.float32), first, self._plate)
            self._known = np.asarray(cv2.bitwise_or(self._known, first), np.uint8)

    def behind(self, canvas: Image, mask: Image) -> Image:
        """`canvas` (H, W, 3) without what is in `mask` (H, W), 255 inside: the background where it is known,
        and what the surroundings suggest where it never was."""
        gone = widened(mask)
        filled = canvas.copy()
        cv2.copyTo(self._in_the_light_of(canvas, gone), cv2.bitwise_and(gone, self._known), filled)
        guessed = np.asarray(cv2.bitwise_and(gone, cv2.bitwise_not(self._known)), np.uint8)
        if cv2.countNonZero(guessed):
            cv2.copyTo(_suggested(filled, guessed), guessed, filled)
        side = 2 * max(1, round(_MARGIN * min(mask.shape) / 3)) + 1
        soft = cv2.GaussianBlur(cv2.erode(gone, np.ones((side, side), np.uint8)), (side, side), 0)
        weight = soft[..., None].astype(np.uint16)
        return np.asarray((filled * weight + canvas * (255 - weight) + 127) // 255, np.uint8)

    def _in_the_light_of(self, canvas: Image, gone: Image) -> Image:
        """The background, as bright as the picture is around `gone` now: cameras change their exposure."""
        ring = cv2.bitwise_and(cv2.bitwise_and(widened(widened(gone)), cv2.bitwise_not(gone)), self._known)
        if not cv2.countNonZero(ring):
            return np.asarray(np.rint(self._plate), np.uint8)
        change = np.subtract(cv2.mean(canvas, ring)[:3], cv2.mean(self._plate, ring)[:3])
        return np.asarray(np.clip(np.rint(self._plate + change.astype(np.float32)), 0, 255), np.uint8)


def widened(mask: Image) -> Image:
    """`mask` (H, W), 255 inside, with a margin around it."""
    side = 2 * max(1, round(_MARGIN * min(mask.shape))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask, kernel), np.uint8)


def _suggested(image: Image, hole: Image) -> Image:
    """`image` with `hole` filled from around it, at a quarter of the size: nothing is known there anyway."""
    small = (max(1, image.shape[1] // 4), max(1, image.shape[0] // 4))
    little = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    holes = cv2.resize(hole, small, interpolation=cv2.INTER_NEAREST)
    holes = cv2.dilate(holes, np.ones((3, 3), np.uint8))
    made = cv2.inpaint(little, holes, 3, cv2.INPAINT_TELEA)
    return np.asarray(cv2.resize(made, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
