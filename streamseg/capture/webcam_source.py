"""Cameras at this machine: `0`, `/dev/video0`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from streamseg.addresses import printable
from streamseg.capture.reconnect import Picture, ReconnectingSource
from streamseg.capture.source import SourceOptions
from streamseg.errors import SourceError

__all__ = ["WebcamSource"]

# OpenCV writes to stderr by itself; what matters of it reaches the user as an exception.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# Uncompressed, a USB 2 camera does 720p at about 10 frames a second; those with MJPG do 30.
_MJPG = cv2.VideoWriter.fourcc(*"MJPG")


class WebcamSource(ReconnectingSource):
    """Frames of a local camera; unplugged and plugged in again, it goes on. See ReconnectingSource.

    `device` is an index or a path. Size and rate are those asked for in `options`, or the nearest that
    the driver grants: after opening, `size_hw` and `fps` are what was granted, `asked` says what was
    asked for. A read that hangs in the driver is broken off by OpenCV after 10 s.
    """

    def __init__(self, device: str | int, source_id: str, options: SourceOptions | None = None) -> None:
        options = options or SourceOptions()
        self.asked = options.size_hw, options.fps
        self._device = str(device)
        self._shown = _shown(self._device)
        super().__init__(source_id, options)

    def _connect(self) -> Iterator[Picture]:
        camera = _opened(self._device, self._options)
        try:
            self.fps = camera.get(cv2.CAP_PROP_FPS) or None
            while not self._interrupted:
                delivered, image = camera.read()
                if not delivered:
                    raise SourceError(
                        f"{self._shown}: unplugged, or no longer delivering frames", "connection"
                    )
                stamp_ms = camera.get(cv2.CAP_PROP_POS_MSEC)
                stamp = stamp_ms / 1e3 if stamp_ms > 0 else None
                yield Picture(np.ascontiguousarray(image, np.uint8), stamp)
        finally:
            camera.release()


def _opened(device: str, options: SourceOptions) -> cv2.VideoCapture:
    name = _shown(device)
    linux = sys.platform == "linux"
    path = Path(f"/dev/video{device}" if device.isdecimal() else device)
    if linux and not path.exists():
        raise SourceError(f"{name}: {printable(path)} does not exist; {_present()}", "not_found")
    backend = cv2.CAP_V4L2 if linux else cv2.CAP_ANY
    camera = (
        cv2.VideoCapture(int(device), backend) if device.isdecimal() else cv2.VideoCapture(device, backend)
    )
    if not camera.isOpened():
        raise SourceError(
            f"{name}: cannot be opened; another program may be using it, it may not be a camera, "
            "or this user may not be in the group `video`",
            "connection",
        )
    if options.size_hw is not None:
        camera.set(cv2.CAP_PROP_FOURCC, _MJPG)
        camera.set(cv2.CAP_PROP_FRAME_WIDTH, options.size_hw[1])
        camera.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size_hw[0])
    if options.fps is not None:
        camera.set(cv2.CAP_PROP_FPS, options.fps)
    return camera


def _shown(device: str) -> str:
    return f"webcam {printable(device)}"


def _present() -> str:
    """Which cameras there are, in words."""
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    return f"there are {', '.join(found)}" if found else "no camera is attached to this machine"
