"""No verb writes over what it reads, nor two files into one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamseg.datasets.check import check_dataset
from streamseg.datasets.report import write_sheet
from streamseg.errors import ConfigError, DatasetError
from streamseg.jobs.build import make_engine
from streamseg.jobs.certify import certify_engine
from streamseg.jobs.evaluate import evaluate_on_data, evaluate_on_scenes
from streamseg.jobs.export import export_engine
from streamseg.jobs.train import TrainOptions, train_on_data
from streamseg.progress import LogWatcher

pytest.importorskip("onnx", reason="needs the extra `models`")

from streamseg.compile.recipe import load_recipe

REFUSED = "would be overwritten|would overwrite each other"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_engine_path: Path) -> Path:
    """An engine, its link, weights under an engine's name, footage, and annotated images."""
    monkeypatch.chdir(tmp_path)
    Path("e.onnx").write_bytes(tiny_engine_path.read_bytes())
    Path("link.onnx").symlink_to("e.onnx")
    Path("w.pth").write_bytes(b"weights")
    Path("w.onnx").hardlink_to("w.pth")
    Path("shots", "samples").mkdir(parents=True)
    names = ["worst.jpg", "00000000.png", "samples/0.png"]
    annotate("shots/val.json", names)
    annotate("v.json", [f"shots/{name}" for name in names])
    annotate("train.json", ["a.png", "b.png"])
    return tmp_path


def annotate(path: str, names: list[str]) -> None:
    """Images with an object each, in COCO's format."""
    entry = {"category_id": 1, "bbox": [8, 8, 32, 32], "area": 1024, "iscrowd": 0}
    outline = {"segmentation": [[8, 8, 40, 8, 40, 40, 8, 40]]}
    content = {
        "images": [{"id": k, "file_name": n, "width": 96, "height": 64} for k, n in enumerate(names)],
        "categories": [{"id": 1, "name": "disc"}],
        "annotations": [{"id": k + 1, "image_id": k, **entry, **outline} for k in range(len(names))],
    }
    for name in names:
        grey = np.full((64, 96, 3), sum(name.encode()) % 256, np.uint8)
        cv2.imwrite(str(Path(path).parent / name), grey)
    Path(path).write_text(json.dumps(content))


@pytest.fixture(autouse=True)
def inputs_stay(folder: Path) -> Any:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    yield
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


DATA = Path("shots/val.json")


@pytest.mark.parametrize(
    "outputs",
    [
        {"json": DATA},
        {"detections": DATA},
        {"json": Path("e.onnx")},
        {"detections": Path("link.onnx")},
        {"json": Path("shots/00000000.png")},
        {"pictures": Path("shots")},
        {"json": Path("x"), "detections": Path("./x")},
    ],
)
def test_eval(outputs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=REFUSED):
        evaluate_on_data(Path("e.onnx"), DATA, **outputs)  # type: ignore[arg-type]


def test_eval_on_scenes() -> None:
    with pytest.raises(ConfigError, match=REFUSED):
        evaluate_on_scenes(Path("e.onnx"), json=Path("link.onnx"))


@pytest.mark.parametrize(
    "outputs",
    [
        {"json": Path("e.onnx")},
        {"json": Path("shots/val.json")},
        {"json": Path("e.onnx.json")},
        {"pictures": Path("shots")},
    ],
)
def test_certify(outputs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=REFUSED):
        certify_engine(Path("e.onnx"), Path("link.onnx"), "shots", **outputs)  # type: ignore[arg-type]


def test_export() -> None:
    with pytest.raises(ConfigError, match=r"w\.onnx: -o is also the input w\.pth"):
        export_engine("yolact_lite", "w.onnx", weights="w.pth")


@pytest.mark.parametrize(
    ("source", "output"),
    [("e.onnx", "e.onnx"), ("e.onnx", "link.onnx"), ("w.pth", "w.onnx"), ("x.pth", "x.onnx")],
)
def test_build(source: str, output: str) -> None:
    recipe = load_recipe(source, {"precision": "int8", "target": "cpu", "calibrate": "shots"})
    with pytest.raises(ConfigError, match=REFUSED):
        make_engine(recipe, Path(output), LogWatcher())


@pytest.mark.parametrize(("val", "taken"), [("shots/val.json", "val.json"), ("v.json", "samples")])
def test_train(val: str, taken: str) -> None:
    with pytest.raises(ConfigError, match=rf"shots/{taken}: --out's {taken} is also"):
        train_on_data(TrainOptions(Path("train.json"), Path("shots"), val=Path(val), epochs=1), LogWatcher())


@pytest.mark.parametrize("sheet", ["shots/val.json", "shots/worst.jpg"])
def test_data_check(sheet: str) -> None:
    with pytest.raises(DatasetError, match="--sheet is also part of the data"):
        write_sheet(check_dataset(DATA), Path(sheet), 4)
