"""A video with transparency: ProRes 4444 in .mov, VP9 in .webm."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from streamseg.addresses import printable
from streamseg.errors import ConfigError, SinkError
from streamseg.files import check_file_writable, is_pipe, write_failure
from streamseg.sinks.base import canvas_of
from streamseg.structures import Result

__all__ = ["ALPHA_ENDINGS", "AlphaVideoSink"]

# Container, codec, pixel format, clock, options. Editors read ProRes, browsers VP9.
_FORMATS: dict[str, tuple[str, str, str, Fraction, dict[str, str]]] = {
    ".mov": (
        "mov",
        "prores_ks",
        "yuva444p10le",
        Fraction(1, 90_000),
        {"profile": "4444", "alpha_bits": "16"},
    ),
    ".webm": (
        "webm",
        "libvpx-vp9",
        "yuva420p",
        Fraction(1, 1000),
        {"deadline": "realtime", "cpu-used": "8", "crf": "28", "b": "0", "auto-alt-ref": "0"},
    ),
}
ALPHA_ENDINGS = tuple(_FORMATS)
_ASSUMED_RATE = 30


class AlphaVideoSink:
    """Writes `Result.canvas` with its alpha to a .mov or .webm file, with the frames' own times.

    A .mov has its index at the end: after a kill it cannot be read; a .webm can. Sizes are cut to even ones.
    Frames of another size than the first end the run with a SinkError.
    """

    needs_canvas = True

    def __init__(self, path: str | Path) -> None:
        """Raises ConfigError for another ending, SinkError if the file cannot be written."""
        self.path = Path(path)
        if self.path.suffix.lower() not in _FORMATS:
            known = " or ".join(_FORMATS)
            raise ConfigError(f"{printable(path)}: no video with alpha has this ending; use {known}")
        if is_pipe(self.path):
            raise SinkError(f"{printable(path)}: is a pipe; a video needs a file")
        check_file_writable(self.path)
        self.frames = 0
        """Frames written."""
        self._container: Any = None
        self._stream: Any = None
        self._start_seconds = 0.0
        self._tick = -1
        self._closed = False

    def write(self, result: Result) -> None:
        """Encode one canvas. Raises SinkError."""
        if self._closed:
            raise SinkError(f"{printable(self.path)}: already closed")
        canvas = canvas_of(result)
        if canvas.ndim != 3 or canvas.shape[2] != 4:
            raise SinkError(f"{printable(self.path)}: pictures without alpha; use the effect cutout, or .mp4")
        try:
            self._take(canvas[: canvas.shape[0] & ~1, : canvas.shape[1] & ~1], result.frame.pts_seconds)
        except av.FFmpegError as error:
            self._abandon()
            raise write_failure(self.path, error) from error
        self.frames += 1

    def close(self) -> None:
        """Write what is still in the encoder, and the index. Raises SinkError."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._container is not None:
                self._container.mux(self._stream.encode(None))
                self._container.close()
        except av.FFmpegError as error:
            self._abandon()
            raise write_failure(self.path, error) from error

    def _take(self, canvas: np.ndarray[Any, np.dtype[np.uint8]], pts_seconds: float) -> None:
        if self._container is None:
            self._open(canvas.shape[0], canvas.shape[1])
            self._start_seconds = pts_seconds
        if canvas.shape[:2] != (self._stream.height, self._stream.width):
            raise SinkError(f"{printable(self.path)}: the picture's size changed; begin another file")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(canvas), format="bgra")
        time_base = self._stream.codec_context.time_base
        self._tick = max(round((pts_seconds - self._start_seconds) / time_base), self._tick + 1)
        frame.pts, frame.time_base = self._tick, time_base
        self._container.mux(self._stream.encode(frame))

    def _open(self, height: int, width: int) -> None:
        name, codec, pixels, clock, options = _FORMATS[self.path.suffix.lower()]
        self._container = av.open(f"file:{self.path}", "w", format=name)
        self._stream = self._container.add_stream(codec, rate=_ASSUMED_RATE, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, pixels
        self._stream.codec_context.time_base = clock

    def _abandon(self) -> None:
        self._closed = True
        if self._container is not None:
            with suppress(av.FFmpegError):
                self._container.close()
