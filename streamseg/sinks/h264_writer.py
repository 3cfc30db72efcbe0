"""Pictures → H.264 → any container of FFmpeg's, with the pictures' own times.

Tested in tests/sinks/test_video_sink.py.
"""

from __future__ import annotations

import os
from fractions import Fraction
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.frame import PictureType
from numpy.typing import NDArray

__all__ = ["H264Writer", "Shot"]

# ultrafast: 3.6 ms of CPU per 720p frame; veryfast takes 13 ms for half the bytes at the same PSNR.
# zerolatency: a frame leaves the encoder when it enters, and not with the next one; same bytes, same time.
_CODEC_OPTIONS = {"preset": "ultrafast", "crf": "23", "tune": "zerolatency"}
MOST_THREADS = 4
_LEAST_SIDE = 4
"""Pixels: pictures two rows high are refused by the encoder."""
_KEYFRAME_SECONDS = 1.0
"""For seeking; what a kill loses hangs on the fragments, above."""
_SMPTE170M, _LIMITED_RANGE = 6, 1
"""What cv2's BGR → I420 makes (BT.601). Untagged, players take 720p for BT.709: greens are 39 levels off."""


class Shot(NamedTuple):
    """A picture and its time."""

    image: NDArray[np.uint8]
    """(H, W, 3) uint8 BGR."""
    pts_seconds: float


class H264Writer:
    """One H.264 stream in an open container, of the first shot's size, which is written at once.

    What av.FFmpegError the muxer and the encoder raise is raised from every method.
    """

    def __init__(
        self,
        container: OutputContainer,
        first: Shot,
        fps: float,
        time_base: Fraction,
        threads: int = MOST_THREADS,
    ) -> None:
        """`fps` is what the header says; `time_base` the seconds of a tick. Each thread makes a slice of its
        own of every picture."""
        self.container = container
        self._time_base = time_base
        self.image_hw = first.image.shape[:2]
        height, width = (max(side + side % 2, _LEAST_SIDE) for side in self.image_hw)
        self._even_hw = height, width
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = container.add_stream("libx264", rate=rate, options=_CODEC_OPTIONS)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        codec = self._stream.codec_context
        codec.time_base = self._time_base
        codec.thread_count = min(threads, os.cpu_count() or 1)
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

    def write(self, shot: Shot) -> None:
        """Encode one picture; of another size it is fitted into that of the first."""
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
        """Write what the encoder still holds, and close the container."""
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
