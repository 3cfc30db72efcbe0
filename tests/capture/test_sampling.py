import cv2
import numpy as np
import pytest

from streamseg.capture.open import open_source
from streamseg.capture.sampling import evenly, sampled_frames
from streamseg.errors import SourceError


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [(10, 1, [5]), (10, 2, [2, 7]), (10, 5, [1, 3, 5, 7, 9]), (3, 10, [0, 1, 2]), (0, 5, [])],
)
def test_each_in_the_middle_of_its_share(total, count, expected):
    assert evenly(total, count) == expected


def test_frames_of_a_video_are_those_that_a_full_pass_gives(clip):
    path = str(clip())
    with open_source(path, "x") as source:
        every = list(source)
    sampled = list(sampled_frames(path, 4))
    assert [f.index for f in sampled] == evenly(len(every), 4)
    for frame in sampled:
        assert frame.pts_seconds == every[frame.index].pts_seconds
        assert np.array_equal(frame.image, every[frame.index].image)


@pytest.mark.slow
def test_a_jump_lands_on_the_right_frame(clip, number_of):
    path = str(clip(frames=250, options={"g": "25"}))
    with open_source(path, "x") as source:
        frames = list(source.chosen([3, 130, 131, 249]))
    assert [f.index for f in frames] == [3, 130, 131, 249]
    assert [number_of(f.image) for f in frames] == [3, 130, 131, 249]
    assert [f.pts_seconds for f in frames] == pytest.approx([3 / 30, 130 / 30, 131 / 30, 249 / 30])


@pytest.mark.slow
def test_a_jump_without_key_frames_on_the_way(clip, number_of):
    path = str(clip(frames=250, options={"g": "1000"}))
    with open_source(path, "x") as source:
        assert [number_of(f.image) for f in source.chosen([3, 200, 249])] == [3, 200, 249]


def test_frames_of_a_scene():
    assert [f.index for f in sampled_frames("synthetic?frames=9&size=64x64", 3)] == [1, 4, 7]


def test_images_in_between_are_not_read(tmp_path):
    for k in range(6):
        (tmp_path / f"{k}.png").write_bytes(b"broken")
    for k in (1, 4):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((8, 8, 3), k, np.uint8))
    frames = list(sampled_frames(str(tmp_path), 2))
    assert [(f.index, f.image.max()) for f in frames] == [(1, 1), (4, 4)]


@pytest.mark.parametrize(
    ("spec", "said"), [("0", "a live source"), ("rtsp://x/y", "a live source"), ("synthetic", "has no end")]
)
def test_what_cannot_be_sampled(spec, said):
    with pytest.raises(SourceError, match=said):
        list(sampled_frames(spec, 3))


def test_a_live_address_is_refused_without_its_password():
    with pytest.raises(SourceError, match=r"^rtsp://me:\*\*\*@host/x: a live source") as caught:
        list(sampled_frames("rtsp://me:p@w@host/x", 3))
    assert "w@" not in str(caught.value).replace("***@", "")
