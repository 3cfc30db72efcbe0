"""`streamseg data label`: labels that other programs read, and nobody's work lost."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from typer.testing import CliRunner, Result

from streamseg.cli import app
from streamseg.datasets.check import check_dataset
from streamseg.datasets.read import read_dataset
from streamseg.errors import ConfigError
from streamseg.scene import SyntheticScene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two synthetic pictures, one of them in a folder within, one grey and empty."""
    inside = tmp_path / "photos" / "more"
    inside.mkdir(parents=True)
    for k, path in enumerate((inside.parent / "a.png", inside / "b.png")):
        cv2.imwrite(str(path), SyntheticScene(k, (360, 640), 6).render(1.0)[0])
    cv2.imwrite(str(inside / "c.png"), np.full((50, 70), 128, np.uint8))
    return inside.parent


def label(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", "label", *map(str, arguments)])


def test_labels_are_read_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, truth = SyntheticScene(0, (360, 640), 6).render(1.0)

    done = label(folder, "--engine", "shapes", "--classes", "shape,person")

    assert done.exit_code == 0, done.output
    path = folder / "instances.json"
    assert "objects in 3 images; 1 images show none" in done.stdout
    assert done.stdout.splitlines()[-1] == f"streamseg data check {path} --sheet sheet.jpg"
    content = json.loads(path.read_text())
    assert [i["file_name"] for i in content["images"]] == ["a.png", "more/b.png", "more/c.png"]
    assert [c["name"] for c in content["categories"]] == ["shape", "person"]
    assert "corrected by nobody" in content["info"]["description"]
    with capsys.disabled():
        coco = COCO(path)
    found = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    pixels: list[NDArray[np.uint8]] = [coco.annToMask(a) for a in found]
    best = [max(_iou(truth.mask(k), p.astype(bool)) for p in pixels) for k in range(len(truth))]
    assert np.median(best) > 0.85
    assert not check_dataset(folder).broken
    assert len(read_dataset(path).images) == 3


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_what_is_there_is_not_written_over(folder: Path) -> None:
    (folder / "instances.json").write_text("days of work")

    done = label(folder, "--engine", "shapes")

    assert isinstance(done.exception, ConfigError)
    assert "is there already and is not written over; name another file with --out" in str(done.exception)
    assert (folder / "instances.json").read_text() == "days of work"


def test_images_that_cannot_be_read_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "d.jpg").write_bytes(b"no picture")
    done = label(folder, "--engine", "shapes", "--out", tmp_path / "labels.json")
    assert done.exit_code == 0, done.output
    assert f"left out: {folder / 'd.jpg'}: not an image that can be read" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"labels.json --images {folder} --sheet sheet.jpg")
    assert len(read_dataset(tmp_path / "labels.json", folder).images) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere"], 6, "nowhere: no such folder"),
        ([".", "--score", "2"], 2, "--score 2.0: expected 0…1"),
        (["{}", "--engine", "shapes", "--classes", "shap"], 2, "no class 'shap' (did you mean 'shape'?)"),
        (["{}", "--out", "{}/no/labels.json"], 2, "cannot be written, there is no folder"),
    ],
)
def test_mistakes(folder: Path, arguments: list[str], code: int, said: str) -> None:
    done = label(*(text.format(folder) for text in arguments))
    assert said in str(done.exception)
    assert getattr(done.exception, "exit_code", done.exit_code) == code
    assert not (folder / "instances.json").exists()
