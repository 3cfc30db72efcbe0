"""Folders and globs of images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.capture.image_source import ImageSource
from streamseg.errors import SourceError


def write(folder: Path, name: str, level: int, hw: tuple[int, int] = (20, 30)) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*hw, 3), level, np.uint8))


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 2, 1):
        write(tmp_path, f"img{number}.png", number)
    (tmp_path / "notes.txt").write_text("not an image")
    write(tmp_path, "inner/img3.png", 3)
    with ImageSource(tmp_path, "i", fps=10) as source:
        frames = list(source)
        assert (source.frame_count, source.fps, source.live) == (4, 10, False)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 9, 10]
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert not frames[0].image.flags.writeable


def test_a_glob_and_sizes_that_differ(tmp_path: Path) -> None:
    write(tmp_path, "a1.png", 5, (20, 30))
    write(tmp_path, "a2.png", 6, (40, 50))
    write(tmp_path, "b.png", 7)
    with ImageSource(f"{tmp_path}/a*.png", "i") as source:
        assert [frame.size_hw for frame in source] == [(20, 30), (40, 50)]


def test_a_picture_that_is_none_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.png", 5)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with ImageSource(tmp_path, "i") as source:
        frames = iter(source)
        next(frames)
        with pytest.raises(SourceError, match=r"b\.png: not an image that can be decoded"):
            next(frames)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no images in this folder"):
        ImageSource(tmp_path, "i")
    with pytest.raises(SourceError, match=r"x\*\.png: no file matches"):
        ImageSource(f"{tmp_path}/x*.png", "i")


def test_interrupt(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"{number}.png", number)
    with ImageSource(tmp_path, "i") as source:
        frames = iter(source)
        next(frames)
        source.interrupt()
        assert list(frames) == []
