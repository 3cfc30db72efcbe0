"""Both contracts, with and without the panoptic outputs, through every runtime."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra `models`")

from streamseg.engine_contract import Engine, EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.engines.load import load_engine
from streamseg.engines.locate import read_info
from streamseg.engines.metadata import metadata_from_info
from streamseg.errors import EngineError, NotAnEngine
from tests.engines.tiny_onnx import HW, INFO, SEGMENTS, SEMANTIC, K, first_contract, rows, write

FRAMES = np.zeros((2, *HW, 3), np.uint8)
PANOPTIC = {"semantic": SEMANTIC, "segments": SEGMENTS}
RUNTIMES = ["openvino", "onnxruntime", "fake"]


def opened(path: Path, runtime: str) -> Engine:
    if runtime == "fake":
        one = EngineOutputs(**{name: np.stack([value] * 2) for name, value in rows(**PANOPTIC).items()})
        return FakeEngine(read_info(path), one)
    return load_engine(path, runtime, "fp32", 1)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_panoptic_outputs_come_through(tmp_path: Path, runtime: str) -> None:
    with opened(write(tmp_path / "p.onnx", rows(**PANOPTIC)), runtime) as engine:
        found = engine.infer(FRAMES)
        for name, value in rows(**PANOPTIC).items():
            array = found.arrays()[name]
            np.testing.assert_array_equal(array, np.stack([value] * 2))
            assert array.dtype == value.dtype
        assert found.semantic is not None
        assert found.semantic.shape == (2, 2, 3)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("names", [(), ("segments",), ("segments", "semantic")])
def test_those_there_are_in_any_order(tmp_path: Path, runtime: str, names: tuple[str, ...]) -> None:
    arrays = {name: PANOPTIC[name] for name in names} | rows()
    with opened(write(tmp_path / "p.onnx", arrays), runtime) as engine:
        assert list(engine.outputs) == list(arrays)
        found = engine.infer(FRAMES[:1])
        assert (found.semantic is not None) == ("semantic" in names)
        assert (found.segments is not None) == ("segments" in names)
        assert found.scores.tolist() == [pytest.approx([0.9, 0.8, 0])]


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("family", "finer"), [("yolact", 1), ("solov2", 4)])
def test_files_of_the_first_contract_run(tmp_path: Path, runtime: str, family: str, finer: int) -> None:
    metadata = first_contract() | {"streamseg.family": family}
    assert "streamseg.mask_finer" not in metadata
    with opened(write(tmp_path / "one.onnx", rows(), metadata), runtime) as engine:
        assert engine.info.mask_finer == finer
        assert engine.infer(FRAMES).count.tolist() == [2, 2]


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_semantic_alone(tmp_path: Path, runtime: str) -> None:
    info = EngineInfo("fcn", "roads", (), "stretch", HW, 0, 0.0, stuff_classes=("road", "sky"))
    arrays = rows(
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        classes=np.zeros(0, np.int32),
        masks=np.zeros((0, 1, 1), np.uint8),
        count=np.int32(0),
        semantic=SEMANTIC,
    )
    with opened(write(tmp_path / "s.onnx", arrays, metadata_from_info(info)), runtime) as engine:
        found = engine.infer(FRAMES)
        assert found.boxes.shape == (2, 0, 4)
        np.testing.assert_array_equal(found.arrays()["semantic"][1], SEMANTIC)


def test_semantic_and_segments_have_one_size() -> None:
    arrays: Any = {name: np.stack([value]) for name, value in rows(**PANOPTIC).items()}
    arrays["segments"] = np.zeros((1, 4, 4), np.uint8)
    engine = FakeEngine(INFO, EngineOutputs(**arrays))
    with pytest.raises(EngineError, match="outputs semantic and segments are of two sizes"):
        engine.infer(FRAMES[:1])


def test_other_outputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        NotAnEngine, match="outputs are boxes, scores, classes, masks, count, depth, expected"
    ):
        read_info(write(tmp_path / "d.onnx", rows(depth=SEMANTIC)))
    with pytest.raises(NotAnEngine, match=r"semantic is uint8 \(B, 3\), expected uint8 \(B, sh, sw\)"):
        read_info(write(tmp_path / "s.onnx", rows(semantic=SEMANTIC[0])))


def test_torch_names_what_its_module_gives(tmp_path: Path) -> None:
    """A module that names more outputs than five gets them through."""
    torch = pytest.importorskip("torch")
    from streamseg.engines.torch_engine import CpuRunner

    arrays = rows(**PANOPTIC)
    tensors = [torch.from_numpy(np.stack([value])) for value in arrays.values()]
    module: Any = lambda frames: tensors  # noqa: E731
    module.output_names = tuple(arrays)
    runner = CpuRunner(module)
    runner.start(FRAMES[:1])
    found = runner.finish()
    assert list(found.arrays()) == list(arrays)
    np.testing.assert_array_equal(found.arrays()["segments"][0], SEGMENTS)


def test_results_are_checked_once(tmp_path: Path) -> None:
    """Row values and later results are for those who use them."""
    good = EngineOutputs(**{name: np.stack([value]) for name, value in rows().items()})
    bad = EngineOutputs(**(good.arrays() | {"count": np.int32([K + 1])}))
    answers = SimpleNamespace(left=[good, bad])
    with FakeEngine(INFO, lambda frames: answers.left.pop(0)) as engine:
        assert engine.infer(FRAMES[:1]) is good
        assert engine.infer(FRAMES[:1]) is bad
