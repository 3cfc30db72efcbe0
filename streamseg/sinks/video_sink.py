"""An annotated video: H.264 in mp4 or mkv, with the frames' own times, playable even after SIGKILL."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from streamseg.addresses import printable
from streamseg.errors import ConfigError, SinkError
from streamseg.files import check_file_writable, is_pipe, write_failure
from streamseg.sinks.base import canvas_of
from streamseg.sinks.fragments import cut_to_whole_fragments
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

# ultrafast: 3.6 ms of CPU per 720p frame; veryfast takes 13 ms for half the bytes at the same PSNR.
# zerolatency: a frame leaves the encoder when it enters, and not with the next one; same bytes, same time.
_CODEC_OPTIONS = {"preset": "ultrafast", "crf": "23", "tune": "zerolatency"}
_MAX_THREADS = 4
_ASSUMED_FPS = 30.0
"""Of a video of one frame."""
_MAX_FPS = 240.0
_LEAST_SIDE = 4
"""Pixels: pictures two rows high are refused by the encoder."""
_KEYFRAME_SECONDS = 1.0
"""For seeking; what a kill loses hangs on the fragments, above."""
_SMPTE170M, _LIMITED_RANGE = 6, 1
"""What cv2's BGR → I420 makes (BT.601). Untagged, players take 720p for BT.709: greens are 39 levels off."""


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
        self._first: _Shot | None = None
        self._writer: _Writer | None = None
        self._closed = False

    def write(self, result: Result) -> None:
        """Encode one canvas. Raises SinkError; what was written before stays playable."""
        if self._closed:
            raise SinkError(f"{printable(self.path)}: already closed")
        shot = _Shot(canvas_of(result), result.frame.pts_seconds)
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
                self._writer = _Writer(self.path, self._first, _ASSUMED_FPS)
            if self._writer is not None:
                self._writer.finish()
        except av.FFmpegError as error:
            self._abandon()
            raise write_failure(self.path, error) from error

    def _take(self, shot: _Shot) -> None:
        if self._writer is None:
            if self._first is None:
                # The header announces a frame rate, which the second frame tells. Matroska's readers
                # believe it, and x264 chooses the level by it.
                self._first = _Shot(shot.image.copy(), shot.pts_seconds)
                return
            seconds = shot.pts_seconds - self._first.pts_seconds
            fps = 1 / min(max(seconds, 1 / _MAX_FPS), 1.0)
            self._writer, self._first = _Writer(self.path, self._first, fps), None
        self.refitted += shot.image.shape[:2] != self._writer.image_hw
        self._writer.write(shot)

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


class _Shot(NamedTuple):
    image: NDArray[np.uint8]
    pts_seconds: float


class _Writer:
    """The open file: one H.264 stream of the first shot's size, which is written at once."""

    def __init__(self, path: Path, first: _Shot, fps: float) -> None:
        name, self._time_base, options = _FORMATS[path.suffix.lower()]
        self.image_hw = first.image.shape[:2]
        height, width = (max(side + side % 2, _LEAST_SIDE) for side in self.image_hw)
        self._even_hw = height, width
        rate = Fraction(fps).limit_denominator(1001)
        # `file:` keeps FFmpeg from reading a protocol out of names such as `12:30.mp4`.
        self.container = av.open(f"file:{path}", "w", format=name, container_options=options)
        self._stream = self.container.add_stream("libx264", rate=rate, options=_CODEC_OPTIONS)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        codec = self._stream.codec_context
        codec.time_base = self._time_base
        codec.thread_count = min(_MAX_THREADS, os.cpu_count() or 1)
        codec.gop_size = 1 << 20  # keyframes are placed by time, below
        codec.colorspace = codec.color_primaries = codec.color_trc = _SMPTE170M
        codec.color_range = _LIMITED_RANGE
        self._yuv = np.empty((height * 3 // 2, width), np.uint8)
        self._start_seconds = first.pts_seconds
        self._tick = -1
        self._key_tick: int | None = None
        self._packet_tick = 0
        self._interval = max(1, round(1 / (rate * self._time_base)))
        self.write(first)

    def write(self, shot: _Shot) -> None:
        image = _fit(shot.image, self._even_hw)
        cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420, dst=self._yuv)
        # No copy: x264 has taken the pixels when encode() returns, so the buffer is free again.
        frame = av.VideoFrame.from_numpy_buffer(self._yuv, format="yuv420p")
        frame.pts, frame.time_base = self._next_tick(shot.pts_seconds), self._time_base
        if self._key_tick is None or (frame.pts - self._key_tick) * self._time_base >= _KEYFRAME_SECONDS:
            frame.pict_type = PictureType.I
            self._key_tick = frame.pts
        self._mux(frame)

    def finish(self) -> None:
        self._mux(None)
        self.container.close()

    def _next_tick(self, pts_seconds: float) -> int:
        tick = round((pts_seconds - self._start_seconds) / self._time_base)
        # Times within a source increase, but two may round onto one tick.
        self._tick = max(tick, self._tick + 1)
        return self._tick

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            # The muxer knows how long a frame lasts from the next one; the last one lasts as long
            # as the one before it.
            tick = packet.pts or 0
            if tick > self._packet_tick:
                self._interval = tick - self._packet_tick
            packet.duration, self._packet_tick = self._interval, tick
            self.container.mux(packet)


def _fit(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """`image` at exactly `size_hw`: as it is, padded by a few rows or columns, or letterboxed."""
    height, width = size_hw
    below, right = height - image.shape[0], width - image.shape[1]
    if below == right == 0:
        return image
    if 0 <= below < _LEAST_SIDE and 0 <= right < _LEAST_SIDE:
        padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return np.asarray(padded, np.uint8)
    scale = min(height / image.shape[0], width / image.shape[1])
    inner_w, inner_h = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    fitted = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner_h) // 2, (width - inner_w) // 2
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted[top : top + inner_h, left : left + inner_w] = cv2.resize(
        image, (inner_w, inner_h), interpolation=shrink
    )
    return fitted
