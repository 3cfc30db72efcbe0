"""The program behind WindowSink: shows the frames that come in on standard input until told to stop.
Tested in tests/sinks/test_window_sink.py.

A process of its own because Qt, inside OpenCV, ends the process it runs in when there is no display
or the display goes away, and because it hangs for ever in a process that imported PyAV before OpenCV
(both bundle libxcb; measured with PyAV 18.1 and opencv-python 5.0). Run by path, so that it needs
nothing but numpy and cv2.

In: HEADER, the title in UTF-8, the pixels, (H, W, 3) uint8 BGR; again and again.
Out: READY when a window could be opened and after every frame shown; QUIT when the user wants to end.
"""

from __future__ import annotations

import select
import signal
import struct
import sys

import cv2
import numpy as np

__all__ = ["HEADER", "QUIT", "READY"]

HEADER = struct.Struct("<III")
"""Bytes of the title, height and width in pixels."""
READY, QUIT = b".", b"q"

_QUIT_KEYS = {ord("q"), 27}
_MAX_WIDTH = 1280
"""Wider frames begin scaled down to this; the window can be resized."""
_WAIT_SECONDS = 0.03
"""Between looks at the keyboard while no frame comes."""


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that feeds this one
    cv2.namedWindow("streamseg")
    cv2.destroyAllWindows()
    _tell(READY)
    titles: set[str] = set()
    while True:
        if select.select([sys.stdin], [], [], _WAIT_SECONDS)[0]:
            if not _show_next(titles):
                return
            _tell(READY)
        key = cv2.pollKey() & 0xFF if titles else -1
        if key in _QUIT_KEYS or not all(map(_is_open, titles)):
            _tell(QUIT)
            return


def _show_next(titles: set[str]) -> bool:
    """Show one frame; False at the end of the input."""
    header = sys.stdin.buffer.read(HEADER.size)
    if len(header) < HEADER.size:
        return False
    title_bytes, height, width = HEADER.unpack(header)
    title = sys.stdin.buffer.read(title_bytes).decode()
    pixels = sys.stdin.buffer.read(height * width * 3)
    if len(pixels) < height * width * 3:
        return False
    if title not in titles:
        titles.add(title)
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        scale = min(1.0, _MAX_WIDTH / width)
        cv2.resizeWindow(title, round(width * scale), round(height * scale))
    cv2.imshow(title, np.frombuffer(pixels, np.uint8).reshape(height, width, 3))
    return True


def _is_open(title: str) -> bool:
    try:
        return bool(cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1)
    except cv2.error:  # Qt's answer when the user has closed the last window
        return False


def _tell(message: bytes) -> None:
    sys.stdout.buffer.write(message)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
