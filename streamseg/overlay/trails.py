"""Where each track has been during the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.overlay.palette import Colour
from streamseg.structures import Tracks

__all__ = ["Trails", "draw_trail"]

# Points of lines are given in sixteenths of a pixel.
_SHIFT = 4

POINTS = 64
"""Most points kept per track, spread over the time that is shown."""

Point = tuple[float, float]


class Trails:
    """The recent centres of one source's tracks, in frame pixels.

    Memory is bounded: 64 points per track, and a track that was not seen for `seconds` is forgotten.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._paths: dict[int, deque[tuple[float, Point]]] = {}
        self._now = float("-inf")

    def __len__(self) -> int:
        """Tracks remembered."""
        return len(self._paths)

    def update(self, pts_seconds: float, tracks: Tracks) -> dict[int, list[Point]]:
        """Add one frame; the path of every track in it, oldest point first, by track id.

        Media time that goes backwards (a source that began anew) forgets everything.
        """
        if pts_seconds < self._now:
            self._paths.clear()
        self._now = pts_seconds
        self._forget(pts_seconds - self._seconds)
        return {
            track_id: self._extended(track_id, ((x1 + x2) / 2, (y1 + y2) / 2))
            for track_id, (x1, y1, x2, y2) in zip(tracks.id.tolist(), tracks.xyxy.tolist(), strict=True)
            if track_id >= 1
        }

    def _extended(self, track_id: int, centre: Point) -> list[Point]:
        path = self._paths.setdefault(track_id, deque(maxlen=POINTS))
        shown = [point for _, point in path]
        if not path or self._now - path[-1][0] >= self._seconds / POINTS:
            path.append((self._now, centre))
        return [*shown, centre]

    def _forget(self, before: float) -> None:
        for track_id, path in list(self._paths.items()):
            while path and path[0][0] < before:
                path.popleft()
            if not path:
                del self._paths[track_id]


def draw_trail(canvas: NDArray[np.uint8], points: Sequence[Point], colour: Colour, line: int) -> None:
    """A line through `points`, frame pixels from the corner of the first pixel."""
    fixed = np.rint((np.array(points) - 0.5) * (1 << _SHIFT)).astype(np.int32)
    cv2.polylines(canvas, [fixed], False, colour, line, cv2.LINE_AA, _SHIFT)
