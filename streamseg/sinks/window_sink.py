"""A window that shows the annotated frames as they come."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from contextlib import suppress

import cv2
import numpy as np

from streamseg.errors import SinkError
from streamseg.sinks import window_viewer
from streamseg.sinks.base import canvas_of
from streamseg.structures import Result

__all__ = ["WindowSink", "check_for_display"]

_START_SECONDS = 30
_END_SECONDS = 5
_CURE = "run without a window, e.g. with -o out.mp4"


class WindowSink:
    """Shows `Result.canvas`, one window per source, in a process of its own (`window_viewer.py`).

    q, Esc or closing a window sets `stop_requested`, which ends the run; nothing is shown from then on. A
    display slower than the frames never holds them up: frames that come while one is being drawn are not
    shown, and are counted in `skipped`.
    """

    needs_canvas = True

    def __init__(self) -> None:
        """Open the display, in about half a second. Raises SinkError when no window can be opened."""
        self.stop_requested = False
        """The user has asked to end the run."""
        self.skipped = 0
        """Frames not shown because the display was still busy."""
        self._viewer_is_free = False
        check_for_display()
        # A file, not a pipe: Qt is talkative, and nobody reads along.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        self._viewer = subprocess.Popen(
            [sys.executable, "-P", window_viewer.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        self._listen(_START_SECONDS)
        if not self._viewer_is_free:
            self.close()
            raise SinkError(f"window: the display does not answer in {_START_SECONDS} s; {_CURE}")

    def write(self, result: Result) -> None:
        """Show one canvas, unless the last is still being drawn. Raises SinkError if the display is lost."""
        self._listen(0)
        if self.stop_requested:
            return
        if not self._viewer_is_free:
            self.skipped += 1
            return
        canvas, title = (
            np.ascontiguousarray(canvas_of(result)),
            f"streamseg: {result.frame.source_id}".encode(),
        )
        header = window_viewer.HEADER.pack(len(title), canvas.shape[0], canvas.shape[1])
        assert self._viewer.stdin is not None
        # A viewer that has ended says why on its output, at the next write.
        with suppress(BrokenPipeError):
            for part in (header, title, canvas.data):
                self._viewer.stdin.write(part)
            self._viewer.stdin.flush()
        self._viewer_is_free = False

    def counters(self) -> dict[str, int]:
        return {"skipped": self.skipped}

    def close(self) -> None:
        """Close the windows."""
        assert self._viewer.stdin is not None
        assert self._viewer.stdout is not None
        with suppress(BrokenPipeError):
            self._viewer.stdin.close()
        self._viewer.stdout.close()
        try:
            self._viewer.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._viewer.kill()
            self._viewer.wait()
        self._stderr.close()

    def _listen(self, timeout_s: float) -> None:
        """Take in what the viewer has said. Raises SinkError if it has ended on its own."""
        if self.stop_requested:
            return
        assert self._viewer.stdout is not None
        if not select.select([self._viewer.stdout], [], [], timeout_s)[0]:
            return
        said = os.read(self._viewer.stdout.fileno(), 64)
        self._viewer_is_free = said.endswith(window_viewer.READY)
        self.stop_requested = said.endswith(window_viewer.QUIT)
        if not said:
            reason = self._last_words()
            self.close()
            raise SinkError(f"window: {reason}; {_CURE}")

    def _last_words(self) -> str:
        """What the viewer said of its end: the line that gives a reason, else the last."""
        self._stderr.seek(0)
        lines = [
            line.strip() for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()
        ]
        reasons = [line for line in lines if "could not" in line.lower()] or lines[-1:]
        return f"no window can be shown ({reasons[0] if reasons else 'no reason given'})"


def check_for_display(cure: str = _CURE) -> None:
    """Raise SinkError where it is certain that no window can be opened, with a clearer cure than Qt's."""
    if not cv2.currentUIFramework():
        raise SinkError(
            "window: this OpenCV has no windows (opencv-python-headless is installed); "
            "pip uninstall opencv-python-headless, then pip install opencv-python"
        )
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        raise SinkError(f"window: no display ($DISPLAY is not set); {cure}")
