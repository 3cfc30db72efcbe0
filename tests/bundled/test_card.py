"""The card of an engine: measured on files it never saw, without losing what else it says."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.bundled.card import measure_engine, measure_shapes, update_card
from streamseg.bundled.photo_sets import PHOTO_SETS
from streamseg.datasets.coco import read_image
from streamseg.errors import DatasetError
from streamseg.evaluation.scenes import FIRST_SEED, write_scenes
from streamseg.scene import SyntheticScene


def test_scenes_come_back_as_they_were_drawn(tmp_path: Path) -> None:
    dataset = write_scenes(tmp_path, 2, (90, 160))

    image, truth = SyntheticScene(FIRST_SEED + 1, (90, 160)).render(7.0)
    second = dataset.images[1]
    np.testing.assert_array_equal(read_image(second), image)
    assert len(second.annotations) == len(truth)
    for row, annotation in enumerate(second.annotations):
        np.testing.assert_array_equal(annotation.mask((90, 160)), truth.mask(row))


def test_card_keeps_what_was_not_measured(tmp_path: Path) -> None:
    engine, card = tmp_path / "net.onnx", tmp_path / "net.json"
    engine.write_bytes(b"content")
    card.write_text(json.dumps({"training": {"minutes": 5}, "mask_ap": 1.0}))

    update_card(card, engine, {"mask_ap": 2.0})

    assert json.loads(card.read_text()) == {
        "training": {"minutes": 5},
        "mask_ap": 2.0,
        "engine": "net.onnx",
        "engine_sha256": hashlib.sha256(b"content").hexdigest(),
    }


def test_a_file_that_is_no_card_is_not_overwritten(tmp_path: Path) -> None:
    engine, card = tmp_path / "net.onnx", tmp_path / "net.json"
    engine.write_bytes(b"content")
    card.write_text("my notes")

    with pytest.raises(DatasetError, match=r"net\.json: not a card"):
        update_card(card, engine, {})

    assert card.read_text() == "my notes"


def scenes_as_photographs(data: Path) -> None:
    """Data sets as the command expects them, of scenes whose shapes are called `cat`."""
    for photos in PHOTO_SETS:
        images = data / photos.folder / "images"
        images.mkdir(parents=True)
        write_scenes(images, 10, (64, 96))
        text = (images / "instances.json").read_text().replace('"shape"', '"cat"')
        (data / photos.folder / "instances.json").write_text(text)


def test_photographs_and_scenes_are_measured_apart(oracle: Any, tmp_path: Path) -> None:
    scenes_as_photographs(tmp_path)

    measured = measure_shapes(oracle(("cat", "shape"), 1), tmp_path, scenes=2)

    assert list(measured["classes"]) == ["cat"]
    assert measured["images"] == 1 + 1 + 1
    assert list(measured["scenes"]["classes"]) == ["shape"]
    assert measured["scenes"]["images"] == 2
    assert measured["runtime"] == "oracle"


def test_an_engine_of_photographs_is_measured_as_eval_does(oracle: Any, tmp_path: Path) -> None:
    write_scenes(tmp_path, 3, (64, 96))
    text = (tmp_path / "instances.json").read_text().replace('"shape"', '"cat"')
    folder = tmp_path / "coco_val94"
    (folder / "images").mkdir(parents=True)
    for image in tmp_path.glob("*.png"):
        image.rename(folder / "images" / image.name)
    (folder / "instances.json").write_text(text)

    measured = measure_engine(oracle(("cat", "dog"), 1), tmp_path)

    assert (measured["images"], measured["measured_on"]) == (3, "coco_val94")
    assert list(measured["classes"]) == ["cat"]
    assert measured["classes"]["cat"]["instances"] == measured["instances"]
    assert set(measured) >= {"mask_ap", "mask_ap_small", "box_ap", "runtime"}


@pytest.mark.slow
def test_missing_data_is_one_line(tiny_engine_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamseg.bundled.measure", "--engine", str(tiny_engine_path)]

    done = subprocess.run([*command, "--data", str(tmp_path)], capture_output=True, text=True, timeout=500)

    assert done.returncode == 6
    assert done.stderr.count("\n") == 1
    assert "coco_val94" in done.stderr
