"""What the user types decides what is opened."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.capture.file_source import FileSource
from streamseg.capture.image_source import ImageSource
from streamseg.capture.open import SourceOptions, is_live, open_source
from streamseg.capture.synthetic_source import SyntheticSource
from streamseg.errors import SourceError


@pytest.mark.parametrize(
    ("spec", "live"),
    [
        ("0", True),
        ("/dev/video2", True),
        ("rtsp://host/x.mp4", True),
        ("http://host/stream", True),
        ("https://host/live.m3u8", True),
        ("udp://239.0.0.1:1234", True),
        ("https://host/clip.MP4?token=1", False),
        ("clip.mp4", False),
        ("folder/*.jpg", False),
        ("synthetic:3", False),
    ],
)
def test_is_live(spec: str, live: bool) -> None:
    assert is_live(spec) is live


def test_file(clip) -> None:
    with open_source(str(clip(frames=3)), "a") as source:
        assert isinstance(source, FileSource)
        assert len(list(source)) == 3


def test_a_file_with_brackets_in_its_name_is_a_file(clip) -> None:
    with open_source(str(clip("take[1]*.mp4", frames=3)), "a") as source:
        assert isinstance(source, FileSource)


def test_images(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    for spec in (str(tmp_path), f"{tmp_path}/*.png", f"{tmp_path}/?.png"):
        with open_source(spec, "a", SourceOptions(fps=5)) as source:
            assert isinstance(source, ImageSource)
            assert (source.fps, len(list(source))) == (5, 1)


def test_synthetic() -> None:
    with open_source("synthetic:4?frames=2&size=64x48", "a") as source:
        assert isinstance(source, SyntheticSource)
        assert [frame.size_hw for frame in source] == [(48, 64)] * 2


def test_a_file_that_begins_like_the_scene_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"synthetic_clip\.mp4: no such file"):
        open_source(f"{tmp_path}/synthetic_clip.mp4", "a")


def test_stream_with_its_timeout() -> None:
    options = SourceOptions(open_timeout_s=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        began = time.monotonic()
        with pytest.raises(SourceError, match=r"no answer within 0.3 s"):
            open_source(url, "a", options)
    assert time.monotonic() - began < 1


@pytest.mark.skipif(Path("/dev/video77").exists(), reason="there is such a webcam")
@pytest.mark.parametrize("spec", ["77", "/dev/video77"])
def test_webcam_that_is_not_there(spec: str) -> None:
    with pytest.raises(SourceError, match=r"/dev/video77 does not exist; (no camera|there are)"):
        open_source(spec, "a")
