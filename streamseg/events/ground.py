"""Places and speeds on the ground: a plane seen through four of its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.events.shapes import Point

__all__ = ["Pace", "Plane", "corners_from_sides"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_WINDOW_SECONDS = 0.5
"""Speed is measured over one to two of these."""


class Plane:
    """The ground, from four points of the picture whose places on it are known."""

    def __init__(self, picture: Sequence[Point], ground: Sequence[Point], frame_hw: tuple[int, int]) -> None:
        """`picture` relative, `ground` in metres, in the same order, four of each."""
        pixels = np.array(picture, np.float32) * np.array(frame_hw[::-1], np.float32)
        matrix = cv2.getPerspectiveTransform(pixels.astype(np.float32), np.array(ground, np.float32))
        self._matrix = np.asarray(matrix, np.float64)
        # On one side of the horizon depths have one sign; the polygon is on the near side.
        self._sign = np.sign(self._matrix[2] @ [*pixels.mean(axis=0), 1.0])

    def metres(self, points: Floats) -> Floats:
        """(n, 2) places in metres of (n, 2) points in frame pixels; NaN on and above the horizon."""
        mapped = np.column_stack([points, np.ones(len(points))]) @ self._matrix.T
        depth = mapped[:, 2:] * self._sign
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(depth > 1e-9, mapped[:, :2] / mapped[:, 2:], np.nan)


def corners_from_sides(sides: Sequence[float]) -> list[Point] | None:
    """Four corners, metres, of the quadrangle with these sides and the greatest area; None: there is none.

    Four sides alone leave its angles open. Of a rectangle's sides this makes the rectangle (Brahmagupta: the
    greatest is the one on a circle).
    """
    a, b, c, d = sides
    if 2 * max(sides) >= sum(sides):
        return None
    # On a circle opposite angles add up to 180°, which gives the diagonal from the first corner to the third.
    cosine = (a * a + b * b - c * c - d * d) / (2 * (a * b + c * d))
    diagonal = np.sqrt(a * a + b * b - 2 * a * b * cosine)
    first = np.arccos(np.clip((a * a + diagonal**2 - b * b) / (2 * a * diagonal), -1, 1))
    last = np.arccos(np.clip((d * d + diagonal**2 - c * c) / (2 * d * diagonal), -1, 1))
    return [(0.0, 0.0), (float(a), 0.0), _polar(diagonal, first), _polar(d, first + last)]


def _polar(radius: float, angle: float) -> Point:
    return float(radius * np.cos(angle)), float(radius * np.sin(angle))


@dataclass(frozen=True, slots=True, eq=False)
class Pace:
    """The state: S objects on P planes, each with two places where it was; and the greatest speed."""

    old: Floats
    """(S, P, 3) seconds and metres x y of the older one; NaN: none."""
    recent: Floats
    """(S, P, 3) the newer one."""
    top: Floats
    """(S, P) greatest speed since the object was first on the plane, metres a second."""

    @classmethod
    def none(cls, rows: int, planes: int) -> Pace:
        shape = rows, planes, 3
        return cls(np.full(shape, np.nan), np.full(shape, np.nan), np.zeros((rows, planes)))

    def step(self, rows: Rows, place: Floats, now: float) -> tuple[Pace, Floats]:
        """The state at `now` with `rows` (n,) at `place` (n, P, 2) metres, NaN where it is not on the plane;
        and (n, P) their speeds, metres a second, NaN where not known yet."""
        here = np.concatenate([np.full((*place.shape[:2], 1), now), place], axis=2)
        here[np.isnan(place).any(axis=2)] = np.nan
        old, recent = self.old[rows], self.recent[rows]
        gone = np.isnan(here[..., :1])
        recent = np.where(gone, np.nan, np.where(np.isnan(recent), here, recent))
        old = np.where(gone, np.nan, old)
        due = now - recent[..., :1] >= _WINDOW_SECONDS
        old, recent = np.where(due, recent, old), np.where(due, here, recent)
        speed = np.linalg.norm(here[..., 1:] - old[..., 1:], axis=2) / (now - old[..., 0])
        after = replace(self, old=self.old.copy(), recent=self.recent.copy(), top=self.top.copy())
        after.old[rows], after.recent[rows] = old, recent
        after.top[rows] = np.where(gone[..., 0], 0.0, np.fmax(self.top[rows], speed))
        return after, np.asarray(speed, np.float64)
