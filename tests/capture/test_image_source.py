"""Folders and globs of images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.capture.image_source import ImageSource
from streamseg.errors import CorruptSource, SourceError
from streamseg.structures import Frame


def write(folder: Path, name: str, level: int, hw: tuple[int, int] = (20, 30)) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*hw, 3), level, np.uint8))


def each_into(frames: list[Frame], source: ImageSource) -> None:
    for frame in source:
        frames.append(frame)


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


def test_broken_images_are_left_out_counted_and_named(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path, f"{number}.png", number)
    for number in (0, 2, 3):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    with ImageSource(tmp_path, "i", fps=10) as source:
        frames: list[Frame] = []
        with pytest.raises(CorruptSource) as caught:
            each_into(frames, source)
        assert source.counters() == {"repaired_pts": 0, "damaged": 3}
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 4, 5]
    assert [frame.index for frame in frames] == [1, 4, 5]
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0.1, 0.4, 0.5])
    name = tmp_path / "0.png"
    assert str(caught.value) == (
        f"{name}: not an image that can be decoded: left out, and so were 2 others; 3 images read"
    )


def test_no_image_can_be_read(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    with ImageSource(tmp_path, "i") as source, pytest.raises(SourceError, match="no image of 2 can be read"):
        list(source)


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
