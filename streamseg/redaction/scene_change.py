"""Whether a frame goes on where the one before it stopped: cuts, and cameras that were moved.

Tested in tests/redaction/test_trust.py.
"""

from __future__ import annotations

from collections import deque
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["SceneChange"]

_LOOKED_AT = 96
"""Pixels of the longer side of what is compared."""
_MOST_SHIFT = 0.05
"""Of the picture from one frame to the next, as a share of its longer side."""
_LEAST_LIKENESS = 0.6
"""Correlation of a frame with the one before it, below which it is another scene; light may change."""
_LESS_LIKE, _SUDDEN = 0.8, 4.0
"""The same where the change is so many times that of the frames before."""
_LEAST_CHANGE = 10.0
"""Mean change of brightness, of 255, below which nothing is concluded: an even wall correlates with
nothing."""
_PEAK = 0.3
"""Of the phase correlation, from which on a shift is believed."""


class SceneChange:
    """Compares each frame of one source with the one before it."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None
        self._changes: deque[float] = deque(maxlen=15)

    def happened(self, image: NDArray[np.uint8]) -> str | None:
        """`cut` or `moved`, where (H, W, 3) `image` does not go on from the one before it."""
        seen, before = _small(image), self._before
        self._before = seen
        if before is None or before.shape != seen.shape:
            return None
        change = float(cv2.absdiff(seen, before).mean())
        sudden = bool(self._changes) and change > _SUDDEN * median(self._changes)
        self._changes.append(change)
        if change < _LEAST_CHANGE / 4:
            return None
        # Copies: OpenCV 5 leaves the window's edges in what it is given.
        (dx, dy), peak = cv2.phaseCorrelate(before.copy(), seen.copy(), _window(seen.shape))
        if peak >= _PEAK and max(abs(dx), abs(dy)) > _MOST_SHIFT * _LOOKED_AT:
            return "moved"
        least = _LESS_LIKE if sudden else _LEAST_LIKENESS
        far = change >= (_LEAST_CHANGE / 2 if sudden else _LEAST_CHANGE)
        return "cut" if far and _likeness(seen, before) < least else None


def _small(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    longer = max(image.shape[:2])
    # Picked first: a fraction of the time that averaging all pixels takes.
    step = max(1, longer // (3 * _LOOKED_AT))
    picked = np.ascontiguousarray(image[::step, ::step])
    scale = _LOOKED_AT / max(picked.shape[:2])
    size = max(2, round(picked.shape[1] * scale)), max(2, round(picked.shape[0] * scale))
    grey = cv2.cvtColor(cv2.resize(picked, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return grey.astype(np.float32)


def _likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def _window(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.asarray(cv2.createHanningWindow((shape[1], shape[0]), cv2.CV_32F), np.float32)
