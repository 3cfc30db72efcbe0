"""The whole product on synthetic scenes, scored."""

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

import streamseg
from streamseg.errors import EngineError, Interrupted
from streamseg.evaluation.scenes import write_scenes
from streamseg.jobs.evaluate import evaluate_on_data, evaluate_on_scenes

SHAPES = Path(streamseg.__file__).parent / "bundled" / "shapes.onnx"


@pytest.mark.slow
def test_two_scenes_through_the_pipeline() -> None:
    told = []

    figures = evaluate_on_scenes(SHAPES, scenes=2, frames=8, progress=lambda *counts: told.append(counts))

    assert told == [(k, 16) for k in range(1, 17)]
    assert (figures["scenes"], figures["frames"]) == (2, 16)
    assert figures["instances"] > 16
    for name in ("mask_ap50", "recall", "precision", "hota", "idf1"):
        assert 0.5 < figures[name] <= 1, name
    assert figures["mask_ap"] < figures["mask_ap50"]
    assert 0 < figures["boundary_error_px"] < 10
    assert figures["id_switches"] == pytest.approx(0, abs=4)
    assert "openvino" in figures["runtime"] or "onnxruntime" in figures["runtime"]


def test_scenes_need_an_engine_that_knows_shapes(tiny_engine_path: Path) -> None:
    with pytest.raises(EngineError, match=r"tiny\.onnx: has no class 'shape'"):
        evaluate_on_scenes(tiny_engine_path)


@pytest.mark.slow
def test_an_interrupted_run_has_no_figures() -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="interrupted; no figures") as caught:
        evaluate_on_scenes(SHAPES, scenes=1, frames=2000, progress=interrupt)
    assert caught.value.exit_code == 130


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same frames and masks as COCO, as a folder of masks and as the part `val` of one."""
    coco = tmp_path_factory.mktemp("coco")
    (coco / "images").mkdir()
    dataset = write_scenes(coco / "images", 3, (240, 320))
    (coco / "images" / "instances.json").rename(coco / "instances.json")
    parted = tmp_path_factory.mktemp("masks")
    folder = parted / "val"
    (folder / "masks" / "shape").mkdir(parents=True)
    (folder / "images").mkdir()
    for image in dataset.images:
        ids = np.zeros(image.size_hw, np.uint8)
        for number, annotation in enumerate(image.annotations, start=1):
            ids[annotation.mask(image.size_hw)] = number
        (folder / "images" / image.path.name).write_bytes(image.path.read_bytes())
        cv2.imwrite(str(folder / "masks" / "shape" / image.path.name), ids)
    return {"coco": coco, "masks": folder, "parted": parted}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["masks", "parted"])
def test_it_reads_what_train_reads(layouts: dict[str, Path], layout: str) -> None:
    of_coco = evaluate_on_data(SHAPES, layouts["coco"])
    same = evaluate_on_data(SHAPES, layouts[layout])

    assert of_coco["mask_ap"] > 0.3
    assert {key: same[key] for key in ("mask_ap", "box_ap", "ar", "images", "instances")} == {
        key: of_coco[key] for key in ("mask_ap", "box_ap", "ar", "images", "instances")
    }
