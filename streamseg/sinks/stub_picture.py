"""What an output shows while its source is away. Tested in tests/sinks/test_broadcast_sink.py."""

from __future__ import annotations

from datetime import UTC, datetime

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["stub_picture"]

_DARKENED = 0.35
_WHITE = (255, 255, 255)


def stub_picture(last: NDArray[np.uint8], name: str, last_s: float, now_s: float) -> NDArray[np.uint8]:
    """The last picture darkened, with `no signal`, the source's name and both times on it.

    `last`: (H, W, 3) uint8 BGR, not changed. `last_s`, `now_s`: seconds since 1970.
    """
    made = cv2.convertScaleAbs(last, alpha=_DARKENED)
    height, width = made.shape[:2]
    plain = name.encode("ascii", "replace").decode()  # OpenCV's letters
    lines = ["NO SIGNAL", plain, f"since {_clock(last_s)}", f"{_clock(now_s)} UTC"]
    row = height / (len(lines) + 2)
    for number, text in enumerate(lines):
        wanted = row * (0.8 if number == 0 else 0.5)
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
        scale = min(wanted / high, 0.9 * width / wide)
        place = round((width - wide * scale) / 2), round((number + 1.5) * row)
        thickness = max(1, round(scale * 1.5))
        cv2.putText(made, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, thickness, cv2.LINE_AA)
    return np.asarray(made, np.uint8)


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
