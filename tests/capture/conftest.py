"""Clips, made when asked for, and servers for the tests of capture/."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Pictures = Sequence[NDArray[np.uint8]]
ClipMaker = Callable[..., Path]


def numbered(index: int) -> NDArray[np.uint8]:
    """A picture that tells its number: eight vertical bars, bright for a one, under noise."""
    bits = np.array([(index >> k) & 1 for k in range(8)])
    noise = np.random.default_rng(index).integers(-30, 31, (96, 160))
    picture = np.repeat(60 + 130 * bits, 20)[None] + noise
    return np.repeat(picture[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture
def number_of() -> Callable[[NDArray[np.uint8]], int]:
    """Reads back the number of a picture made by `clip`."""

    def read(image: NDArray[np.uint8]) -> int:
        bars = image.reshape(96, 8, 20, 3).mean(axis=(0, 2, 3))
        return int(sum(1 << k for k in range(8) if bars[k] > 125))

    return read


@pytest.fixture
def clip(tmp_path: Path) -> ClipMaker:
    """Writes a clip; skips when this FFmpeg cannot encode the codec."""

    def make(
        name: str = "clip.mp4",
        frames: int = 30,
        codec: str = "libx264",
        pts: Sequence[int] | None = None,
        pictures: Pictures | None = None,
        time_base: Fraction = Fraction(1, 30),
        options: dict[str, str] | None = None,
        tags: dict[str, int] | None = None,
        container: dict[str, str] | None = None,
    ) -> Path:
        try:
            av.codec.Codec(codec, "w")
        except Exception as error:
            pytest.skip(f"this FFmpeg cannot encode {codec}: {error}")
        pictures = pictures if pictures is not None else [numbered(k) for k in range(frames)]
        path = tmp_path / name
        with av.open(str(path), "w", options=container or {}) as output:
            stream = output.add_stream(codec, rate=30, options=options or {})
            stream.width, stream.height = pictures[0].shape[1], pictures[0].shape[0]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.time_base = time_base
            for key, value in (tags or {}).items():
                setattr(stream.codec_context, key, value)
            for k, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                frame = frame.reformat(format=stream.pix_fmt, dst_colorspace=(tags or {}).get("colorspace"))
                frame.pts = pts[k] if pts else k
                frame.time_base = time_base
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def file_server(tmp_path: Path, free_port: int) -> Iterator[str]:
    """A real HTTP server over tmp_path; its address."""
    command = [sys.executable, "-u", "-m", "http.server", str(free_port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield f"http://127.0.0.1:{free_port}"
    process.kill()
    process.communicate()
