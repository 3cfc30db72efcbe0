from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.bundled.davis import read_davis
from streamseg.errors import DatasetError


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Five frames of 20 × 30, in frame k a white square of k + 2 pixels."""
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / part / "swan").mkdir(parents=True)
    for k in range(5):
        mask = np.zeros((20, 30), np.uint8)
        mask[3 : 5 + k, 4 : 6 + k] = 255
        cv2.imwrite(str(tmp_path / "JPEGImages" / "swan" / f"0000{k}.jpg"), mask)
        cv2.imwrite(str(tmp_path / "Annotations" / "swan" / f"0000{k}.png"), mask)
    return tmp_path


def test_every_second_frame_with_its_mask(clip: Path) -> None:
    images = read_davis(clip, {"swan": "bird"}, 2)
    assert [image.path.name for image in images] == ["00000.jpg", "00002.jpg", "00004.jpg"]
    assert {image.size_hw for image in images} == {(20, 30)}
    [[first], [second], [third]] = (image.annotations for image in images)
    assert (first.class_name, first.area, second.area, third.area) == ("bird", 4, 16, 36)
    assert np.argwhere(second.mask((20, 30))).min(axis=0).tolist() == [3, 4]


def test_a_frame_without_a_mask_is_named(clip: Path) -> None:
    (clip / "Annotations" / "swan" / "00002.png").unlink()
    with pytest.raises(DatasetError, match=r"00002\.png: no such file"):
        read_davis(clip, {"swan": "bird"}, 1)
    with pytest.raises(DatasetError, match="goose: no such folder"):
        read_davis(clip, {"goose": "bird"}, 1)
