"""Results → what goes to viewers. Tested in tests/serving/test_live.py."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Mapping
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.serving.contract import ResultView
from streamseg.structures import Result

__all__ = ["Encoder", "Kind", "message"]

Kind = Literal["live", "clean", "painted"]
"""A message of the WebSocket (instances and clean picture), a JPEG of the frame, a JPEG with the overlay."""

LONGEST_SIDE = 1280
"""Of a picture on the page, pixels: 1.3 ms to scale a 4K frame down, 30 ms to encode it whole."""
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]


def message(head: Mapping[str, Any], picture: bytes = b"") -> bytes:
    """Length of the head (uint32, little endian), the head as JSON, the picture."""
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return struct.pack("<I", len(text)) + text + picture


class Encoder:
    """For one thread. A picture that two kinds need is encoded once."""

    def __init__(self, view: ResultView) -> None:
        self._view = view

    def encode(self, result: Result, kinds: Collection[Kind]) -> dict[Kind, bytes]:
        """What each of `kinds` is of this result."""
        done: dict[Kind, bytes] = {}
        if not {"live", "clean"}.isdisjoint(kinds):
            done["clean"] = _jpeg(result.frame.image)
        if "live" in kinds:
            height, width = result.frame.size_hw
            head = {"source": result.frame.source_id, "size": [width, height]}
            done["live"] = message(head | {"frame": self._view.describe(result)}, done["clean"])
        if "painted" in kinds:
            canvas = result.canvas if result.canvas is not None else self._view.paint(result)
            done["painted"] = _jpeg(canvas)
        return done


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    height, width = image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    _, data = cv2.imencode(".jpg", image, _QUALITY)
    return data.tobytes()
