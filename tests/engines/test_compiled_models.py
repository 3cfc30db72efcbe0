"""The cache of compiled models: never another engine's, bounded, and not needed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra `models`")

from streamseg.engines.compiled_models import KEPT, model_folder
from streamseg.engines.engine_file import open_engine_file
from streamseg.engines.locate import list_engines, read_info
from streamseg.engines.openvino_engine import OpenVinoEngine
from tests.engines.tiny_onnx import HW, rows, write

FRAMES = np.zeros((1, *HW, 3), np.uint8)


def scores(path: Path, cache_dir: Path, batch: int = 1) -> list[float]:
    with OpenVinoEngine(path, precision="fp32", threads=1, cache_dir=cache_dir) as engine:
        found = engine.infer(np.repeat(FRAMES, batch, axis=0)).scores
        return [round(float(score), 3) for score in found[0]]


def with_factor(source: Path, factor: float, path: Path) -> Path:
    """The engine `source`, its scores multiplied."""
    import onnx

    model = onnx.load(source)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["scores_before" if name == "scores" else name for name in names]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(factor), "factor"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["scores_before", "factor"], ["scores"]))
    onnx.save(model, path)
    return path


@pytest.mark.slow
def test_engines_that_differ_in_one_constant_give_their_own_results(tmp_path: Path) -> None:
    """OpenVINO 2026.4 gives the second the model of the first: 2 and −1 occur elsewhere in its graph."""
    compact = list_engines()["compact"]
    frames = np.random.default_rng(0).integers(0, 255, (1, *read_info(compact).input_hw, 3), np.uint8)
    found = {}
    for factor in (2.0, -1.0):
        path = with_factor(compact, factor, tmp_path / f"{factor}.onnx")
        with OpenVinoEngine(path, precision="fp32", cache_dir=tmp_path / "cache") as engine:
            found[factor] = engine.infer(frames).scores.copy()
    assert found[2.0].max() > 0.02
    np.testing.assert_allclose(found[-1.0], found[2.0] / -2, rtol=1e-3, atol=1e-6)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_each_has_its_own_from_the_cache_too(tmp_path: Path) -> None:
    factors = {2.0: [1.8, 1.6, 0.0], -1.0: [-0.9, -0.8, 0.0], 1.0: [0.9, 0.8, 0.0]}
    cache = tmp_path / "cache"
    paths = {factor: write(tmp_path / f"{factor}.onnx", rows(), factor=factor) for factor in factors}
    for _ in range(2):
        for factor, expected in factors.items():
            assert scores(paths[factor], cache) == expected
    assert len(list(cache.iterdir())) == len(factors)


def test_another_engine_under_the_same_name(tmp_path: Path) -> None:
    path = write(tmp_path / "e.onnx", rows(), factor=2.0)
    assert scores(path, tmp_path / "cache")[0] == 1.8
    write(path, rows(), factor=-1.0)
    assert scores(path, tmp_path / "cache")[0] == -0.9


def test_shapes_and_precisions_have_folders_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path / "e.onnx", rows())
    scores(path, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    scores(path, tmp_path / "cache", batch=2)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_weights_in_other_files_are_not_kept(tmp_path: Path) -> None:
    """The SHA-256 of the .onnx says nothing of them."""
    import onnx

    path = write(tmp_path / "e.onnx", rows())
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    opened = open_engine_file(path)
    assert getattr(opened, "has_external_data") is True  # noqa: B009
    assert scores(path, tmp_path / "cache")[0] == 0.9
    assert not (tmp_path / "cache").exists()


def test_the_least_used_folders_go(tmp_path: Path) -> None:
    folders = [model_folder(tmp_path, f"{i}") for i in range(KEPT)]
    for age, folder in enumerate(folders):
        assert folder is not None
        os.utime(folder, (age, age))
    assert model_folder(tmp_path, "0") == folders[0]  # used again, so the newest
    assert model_folder(tmp_path, "another") not in folders
    assert [folder.is_dir() for folder in folders if folder] == [True, False, *[True] * (KEPT - 2)]


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert model_folder(tmp_path / "file", "a") is None
    assert scores(write(tmp_path / "e.onnx", rows()), tmp_path / "file")[0] == 0.9
