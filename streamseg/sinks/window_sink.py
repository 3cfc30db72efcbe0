"""A window that shows the annotated frames as they come."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2

from streamseg.errors import SinkError
from streamseg.sinks.base import canvas_of
from streamseg.structures import Result

__all__ = ["WindowSink"]

_QUIT_KEYS = {ord("q"), 27}
_MAX_WIDTH = 1280
"""Wider frames begin scaled down to this; the window can be resized."""
_PROBE = "import cv2; cv2.namedWindow('streamseg'); cv2.destroyAllWindows()"
_PROBE_SECONDS = 30
_CURE = "run without a window, e.g. with -o out.mp4"


class WindowSink:
    """Shows `Result.canvas`, one window per source.

    q, Esc or closing a window sets `stop_requested`; nothing is shown from then on, and whoever runs
    the pipeline ends it. Every call must come from one thread, which need not be the main one on
    Linux and Windows.
    """

    needs_canvas = True

    def __init__(self) -> None:
        """Raises SinkError when no window can be opened."""
        _check_windows_open()
        self.stop_requested = False
        """The user has asked to end the run."""
        self._titles: set[str] = set()

    def write(self, result: Result) -> None:
        """Show one canvas and handle the keys pressed since the last."""
        if self.stop_requested:
            return
        canvas, title = canvas_of(result), f"streamseg: {result.frame.source_id}"
        if title not in self._titles:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            scale = min(1.0, _MAX_WIDTH / canvas.shape[1])
            cv2.resizeWindow(title, round(canvas.shape[1] * scale), round(canvas.shape[0] * scale))
            self._titles.add(title)
        cv2.imshow(title, canvas)
        self.stop_requested = cv2.pollKey() & 0xFF in _QUIT_KEYS or not _is_open(title)

    def close(self) -> None:
        """Close the windows."""
        for title in self._titles:
            if _is_open(title):
                cv2.destroyWindow(title)
        self._titles.clear()


def _is_open(title: str) -> bool:
    try:
        return bool(cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1)
    except cv2.error:  # Qt's answer when the user has closed the last window
        return False


def _check_windows_open() -> None:
    """Raise SinkError unless a window opens, tried in a process of its own: without a display, or without
    Qt's plugin for it, Qt aborts the process that asks."""
    if not cv2.currentUIFramework():
        raise SinkError(
            "window: this OpenCV has no windows (opencv-python-headless is installed); "
            "pip uninstall opencv-python-headless, then pip install opencv-python"
        )
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        raise SinkError(f"window: no display ($DISPLAY is not set); {_CURE}")
    try:
        probe = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise SinkError(f"window: the display does not answer in {_PROBE_SECONDS} s; {_CURE}") from error
    if probe.returncode:
        said = [line for line in probe.stderr.splitlines() if "could not" in line.lower()]
        raise SinkError(
            f"window: no window can be opened ({(said or ['no reason given'])[0].strip()}); {_CURE}"
        )
