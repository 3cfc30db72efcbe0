"""Pictures are written whole or not at all."""

import cv2
import numpy as np
import pytest

from streamseg.pictures import write_picture

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.mark.parametrize(("name", "kind"), [("a.png", None), ("a.part", "png")])
def test_the_ending_or_the_kind_decides_the_format(tmp_path, name, kind):
    write_picture(tmp_path / name, IMAGE, kind=kind)
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (cv2.imread(str(tmp_path / name)) == IMAGE).all()


def test_quality_is_that_of_the_jpeg(tmp_path):
    for quality in (95, 20):
        write_picture(tmp_path / f"{quality}.jpg", IMAGE, jpeg_quality=quality)
    assert (tmp_path / "20.jpg").stat().st_size < (tmp_path / "95.jpg").stat().st_size / 2


@pytest.mark.parametrize(("name", "width"), [("a.txt", 64), ("a.jpg", 70_000)])
def test_what_a_format_cannot_hold_leaves_the_old_picture(tmp_path, name, width):
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(OSError, match=f"cannot hold {width}x2 pixels"):
        write_picture(tmp_path / name, np.zeros((2, width, 3), np.uint8))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {name: b"old"}
