"""What file, stream and webcam share of PyAV: opening, converting to BGR, wording of failures.

Tested in tests/capture/test_file_source.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import av
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from streamseg.errors import SourceError

__all__ = ["BgrConverter", "described", "nameless", "open_container", "reason", "video_stream"]

# FFmpeg writes to stderr by itself; what matters of it reaches the user as an exception.
av.logging.set_libav_level(av.logging.PANIC)


def open_container(
    url: str,
    *,
    format_name: str | None = None,
    options: Mapping[str, str] | None = None,
    timeout_s: tuple[float, float] | None = None,
) -> InputContainer:
    """Open for reading; raises av.error.FFmpegError. `timeout_s`: to open, and for each read."""
    container: InputContainer = av.open(
        url,
        mode="r",
        format=format_name,
        options=dict(options or {}),
        timeout=timeout_s,
        metadata_errors="replace",
    )
    return container


def video_stream(container: InputContainer, name: str) -> av.VideoStream:
    """The best video stream that FFmpeg can decode; raises SourceError naming what is there instead."""
    videos = [s for s in container.streams.video if not _is_cover(s)]
    if not videos:
        kinds = ", ".join(sorted({s.type for s in container.streams}))
        raise SourceError(f"{name}: no video in it" + (f", only {kinds}" if kinds else ""), "codec")
    best = container.streams.best("video")
    stream = best if best in videos else videos[0]
    if stream.codec_context is None:
        raise SourceError(f"{name}: FFmpeg has no decoder for its video codec; convert it first", "codec")
    return stream


def described(stream: av.VideoStream) -> str:
    """The codec, its profile and size, in words: `h264 High 4:4:4 Predictive, 1280x720`."""
    codec = stream.codec_context
    return " ".join(filter(None, (codec.name, codec.profile))) + f", {codec.width}x{codec.height}"


def _is_cover(stream: av.VideoStream) -> bool:
    """Music files carry their cover as a video of one picture."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def reason(error: BaseException) -> str:
    """The cause in a few words: what the system or FFmpeg calls it."""
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0].strip()


def nameless(error: av.error.FFmpegError) -> av.error.FFmpegError:
    """The same failure without the address that PyAV puts into it, for `raise … from`: -vv shows it."""
    bare = type(error)(error.errno or 0, error.strerror or "")
    return bare.with_traceback(error.__traceback__)


class BgrConverter:
    """Decoded pictures → BGR arrays, upright, in the colours that the stream says it has.

    swscale honours the colour space and range of each frame; cv2's I420 conversion is BT.601 only (mean
    error of 7 levels on a bt709 clip). One reformatter per stream: `frame.to_ndarray` makes one per frame
    and costs 1.5 times as much.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR, C-contiguous, own memory; turned as the display matrix says."""
        bgr: NDArray[Any] = self._reformatter.reformat(frame, format="bgr24", threads=1).to_ndarray()
        # The matrix turns counterclockwise, as numpy does.
        quarters = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(bgr, quarters) if quarters else bgr)
