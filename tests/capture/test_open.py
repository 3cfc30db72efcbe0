"""What the user types decides what is opened."""

from __future__ import annotations

import socket
import traceback
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
        ("RTSP://host/x", True),
        (" rtsp://host/x", True),
        ("rtsp://me:pw@[::1/x", True),
        ("HTTPS://host/clip.mp4", False),
        ("file:///clip.mp4", False),
        ("FILE:/folder", False),
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


def test_a_file_address_is_a_file_with_an_end(clip, tmp_path: Path) -> None:
    clip("a b.mp4", frames=3)
    for spec in (f"file://{tmp_path}/a%20b.mp4", f"FILE://localhost{tmp_path}/a b.mp4"):
        with open_source(spec, "a") as source:
            assert isinstance(source, FileSource)
            assert len(list(source)) == 3
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with open_source(f"file://{tmp_path}/*.png", "a") as source:
        assert isinstance(source, ImageSource)


def test_a_file_address_of_another_machine() -> None:
    with pytest.raises(SourceError, match="a file address has three slashes, file:///clips/a.mp4"):
        open_source("file://clips/a.mp4", "a")


@pytest.mark.parametrize(
    "spec",
    [
        "rtsp://me:secret@[::1/x",
        "rtsp://me:se@secret@127.0.0.1:1/x?secret",
        "rtsp://me:80/secret@127.0.0.1:1/x",
        "rtsp:/me:secret@127.0.0.1:1/x",
        " rtsp://me:secret@127.0.0.1:1/x",
        "rtsp:me:secret@127.0.0.1:1/x",
        "what://me:secret@127.0.0.1:1/x",
        "http://me:secret@127.0.0.1:1/clip.mp4?token=secret",
        "https://127.0.0.1:1/x?secret",
    ],
)
def test_secrets_are_in_no_error_and_no_traceback(spec: str) -> None:
    with pytest.raises(SourceError, match="127.0.0.1|::1") as caught:
        open_source(spec, "a", SourceOptions(open_timeout_s=1))
    said = "".join(traceback.format_exception(caught.value)).replace("secrets_are_in_no", "")
    assert "secret" not in said


@pytest.mark.parametrize(
    "spec", ["a\x1b[31m.mp4", "\x1b*.jpg", "synthetic:\x1b", "/dev/video\x1b", "rtsp://\x1b"]
)
def test_escapes_do_not_reach_the_terminal(spec: str) -> None:
    with pytest.raises(SourceError, match=r"\\x1b") as caught:
        open_source(spec, "a", SourceOptions(open_timeout_s=1))
    assert "\x1b" not in str(caught.value)


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
        with pytest.raises(SourceError, match=r"no answer within 0.3 s"):
            open_source(url, "a", options)


@pytest.mark.skipif(Path("/dev/video77").exists(), reason="there is such a webcam")
@pytest.mark.parametrize("spec", ["77", "/dev/video77"])
def test_webcam_that_is_not_there(spec: str) -> None:
    with pytest.raises(SourceError, match=r"/dev/video77 does not exist; (no camera|there are)"):
        open_source(spec, "a")
