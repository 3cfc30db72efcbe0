"""An annotated video: H.264 in mp4 or mkv, with the frames' own times, playable even after SIGKILL."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av

from streamseg.addresses import printable
from streamseg.errors import ConfigError, SinkError
from streamseg.files import check_file_writable, is_pipe, write_failure
from streamseg.sinks.base import canvas_of
from streamseg.sinks.fragments import cut_to_whole_fragments
from streamseg.sinks.h264_writer import H264Writer, Shot
from streamseg.structures import Result

__all__ = ["VideoSink"]

_FORMATS = {
    # 90 kHz holds 25, 29.97, 30, 50, 59.94 and 60 fps exactly. hybrid_fragmented: fragments while
    # recording, one plain index after a normal close. A fragment ends when a frame comes that makes it 8 KiB
    # or a tenth of a second long, whatever comes first: 0.6 % more bytes at 720p, 1.9 % at 320x180.
    ".mp4": (
        "mp4",
        Fraction(1, 90_000),
        {
            "movflags": "hybrid_fragmented",
            "flush_packets": "1",
            "frag_size": "8192",
            "frag_duration": "100000",
        },
    ),
    # Matroska's clock ticks in milliseconds. A cluster for each frame: 0.3 % more bytes.
    ".mkv": ("matroska", Fraction(1, 1000), {"flush_packets": "1", "cluster_time_limit": "0"}),
}

_ASSUMED_FPS = 30.0
"""Of a video of one frame."""
_MAX_FPS = 240.0


class VideoSink:
    """Writes `Result.canvas` to an .mp4 or .mkv file.

    Frame k is shown at its `pts_seconds` minus that of the first frame, rounded to 1/90000 s (mp4)
    or 1 ms (mkv); variable frame rates are kept. Odd sizes are padded to even ones by repeating the
    last row or column (4:2:0 chroma needs it). When the size changes in mid-stream (a camera that
    came back with another resolution), frames are fitted into the first size with black borders and
    counted in `refitted`. An existing file is replaced when the second frame arrives, or by `close`.
    """

    needs_canvas = True

    def __init__(self, path: str | Path) -> None:
        """Raises ConfigError for another suffix, SinkError if the file cannot be written."""
        self.path = Path(path)
        ending = self.path.suffix
        if ending.lower() not in _FORMATS:
            known = " or ".join(_FORMATS)
            raise ConfigError(f"{printable(path)}: no video format for the ending {ending!r}; use {known}")
        if is_pipe(self.path):
            raise SinkError(f"{printable(path)}: is a pipe; a video needs a file")
        check_file_writable(self.path)
        self.frames = 0
        """Frames taken."""
        self.refitted = 0
        """Frames of another size than the first, fitted into it."""
        self._first: Shot | None = None
        self._writer: H264Writer | None = None
        self._closed = False

    def write(self, result: Result) -> None:
        """Encode one canvas. Raises SinkError; what was written before stays playable."""
        if self._closed:
            raise SinkError(f"{printable(self.path)}: already closed")
        shot = Shot(canvas_of(result), result.frame.pts_seconds)
        try:
            self._take(shot)
        except av.FFmpegError as error:
            self._closed = True
            self._abandon()
            raise write_failure(self.path, error) from error
        self.frames += 1

    def counters(self) -> dict[str, int]:
        return {"refitted": self.refitted}

    def close(self) -> None:
        """Write the frames still in the encoder and the index. Raises SinkError."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._first is not None:
                self._writer = self._opened(self._first, _ASSUMED_FPS)
            if self._writer is not None:
                self._writer.finish()
        except av.FFmpegError as error:
            self._abandon()
            raise write_failure(self.path, error) from error

    def _take(self, shot: Shot) -> None:
        if self._writer is None:
            if self._first is None:
                # The header announces a frame rate, which the second frame tells. Matroska's readers
                # believe it, and x264 chooses the level by it.
                self._first = Shot(shot.image.copy(), shot.pts_seconds)
                return
            seconds = shot.pts_seconds - self._first.pts_seconds
            fps = 1 / min(max(seconds, 1 / _MAX_FPS), 1.0)
            self._writer, self._first = self._opened(self._first, fps), None
        self.refitted += shot.image.shape[:2] != self._writer.image_hw
        self._writer.write(shot)

    def _opened(self, first: Shot, fps: float) -> H264Writer:
        name, time_base, options = _FORMATS[self.path.suffix.lower()]
        # `file:` keeps FFmpeg from reading a protocol out of names such as `12:30.mp4`.
        container = av.open(f"file:{self.path}", "w", format=name, container_options=options)
        return H264Writer(container, first, fps, time_base)

    def _abandon(self) -> None:
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        # The first error is on its way to the caller; what fails now can only repeat it.
        with suppress(av.FFmpegError):
            writer.container.close()
        if self.path.suffix.lower() == ".mp4":
            with suppress(OSError):
                cut_to_whole_fragments(self.path)
