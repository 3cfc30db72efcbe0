"""One suite for every runtime: what the Engine protocol and the contract promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.engine_contract import OUTPUT_NAMES, Engine, EngineOutputs
from streamseg.engines.agreement import compare
from streamseg.engines.fake_engine import FakeEngine
from streamseg.engines.load import load_engine
from streamseg.engines.locate import read_info
from streamseg.errors import EngineError

pytest.importorskip("torch", reason="needs the extra `models`: the engine under test is exported here")

Frames = NDArray[np.uint8]
Opener = Callable[[], Engine]
RUNTIMES = ("openvino fp32", "openvino auto", "onnxruntime auto", "torch auto", "fake")
EXACT_RUNTIMES = ("openvino fp32", "onnxruntime auto")


@pytest.fixture
def opener(request: pytest.FixtureRequest, tiny_engine_path: Path, tiny_checkpoint: Path) -> Opener:
    if request.param == "fake":
        outputs = copied(
            load_engine(tiny_engine_path, "onnxruntime").infer(np.zeros((3, 64, 96, 3), np.uint8))
        )
        return lambda: FakeEngine(read_info(tiny_engine_path), lambda frames: rows(outputs, len(frames)))
    runtime, precision = request.param.split()
    path = tiny_checkpoint if runtime == "torch" else tiny_engine_path
    return lambda: load_engine(path, runtime, precision, threads=1)


@pytest.fixture(scope="module")
def expected(tiny_checkpoint: Path, pictures: Frames) -> EngineOutputs:
    """The tiny engine's answer, from torch, with the exported options."""
    import torch

    from streamseg.models.engine_module import EngineModule
    from streamseg.models.weights.checkpoint import load_checkpoint

    module = EngineModule(load_checkpoint(tiny_checkpoint), max_detections=20, score_threshold=0.5)
    with torch.inference_mode():
        return EngineOutputs(*(t.numpy() for t in module(torch.from_numpy(pictures))))


def copied(outputs: EngineOutputs) -> EngineOutputs:
    return EngineOutputs(*(getattr(outputs, name).copy() for name in OUTPUT_NAMES))


def rows(outputs: EngineOutputs, count: int) -> EngineOutputs:
    return EngineOutputs(*(getattr(outputs, name)[:count] for name in OUTPUT_NAMES))


every_runtime = pytest.mark.parametrize("opener", RUNTIMES, indirect=True)


@pytest.mark.slow
@every_runtime
@pytest.mark.parametrize("batch", [1, 3])
def test_outputs_meet_the_contract(opener: Opener, pictures: Frames, batch: int) -> None:
    with opener() as engine:
        out = engine.infer(pictures[:batch])
        k = engine.info.max_detections
        shapes = {"boxes": (batch, k, 4), "scores": (batch, k), "classes": (batch, k), "count": (batch,)}
        types = {"boxes": "f4", "scores": "f4", "classes": "i4", "masks": "u1", "count": "i4"}
        assert {name: getattr(out, name).dtype for name in OUTPUT_NAMES} == {
            name: np.dtype(kind) for name, kind in types.items()
        }
        assert {name: getattr(out, name).shape for name in shapes} == shapes
        assert out.masks.shape == (batch, k, 16, 24)
        assert (np.diff(out.scores, axis=1) <= 0).all()
        for b in range(batch):
            n = int(out.count[b])
            assert n > 0
            assert (out.scores[b, :n] > engine.info.score_threshold).all()
            assert set(out.classes[b, :n].tolist()) <= {0, 1, 2}
            for name in ("boxes", "scores", "classes", "masks"):
                assert not getattr(out, name)[b, n:].any(), name


@every_runtime
def test_info_and_runtime_say_what_runs(opener: Opener) -> None:
    with opener() as engine:
        assert engine.info.classes == ("disc", "square", "star")
        assert engine.info.input_hw == (64, 96)
        assert engine.info.family == "yolact"
        assert engine.runtime_name in ("openvino", "onnxruntime", "torch", "fake")
        assert engine.runtime.split()[0] == engine.runtime_name
        assert engine.runtime_version in engine.runtime
        assert engine.precision in ("fp32", "bf16")
        assert engine.inputs["frames"].shape == ("B", 64, 96, 3)
        assert list(engine.outputs) == list(OUTPUT_NAMES)
        assert str(engine.outputs["boxes"]) == f"float32 (B, {engine.info.max_detections}, 4)"


@every_runtime
@pytest.mark.parametrize(
    ("frames", "got"),
    [
        (np.zeros((1, 64, 96, 3), np.float32), r"float32 \(1, 64, 96, 3\)"),
        (np.zeros((64, 96, 3), np.uint8), r"uint8 \(64, 96, 3\)"),
        (np.zeros((1, 96, 64, 3), np.uint8), r"uint8 \(1, 96, 64, 3\)"),
        (np.zeros((0, 64, 96, 3), np.uint8), r"uint8 \(0, 64, 96, 3\)"),
    ],
)
def test_wrong_feeds_are_named(opener: Opener, frames: Frames, got: str) -> None:
    with opener() as engine:
        want = r"yolact_lite: frames must be uint8 \(B, 64, 96, 3\) with B ≥ 1, got "
        with pytest.raises(EngineError, match=want + got):
            engine.infer(frames)
        engine.infer(np.zeros((1, 64, 96, 3), np.uint8))  # and it goes on working


@every_runtime
def test_submit_and_collect_keep_step(opener: Opener, pictures: Frames) -> None:
    with opener() as engine:
        together = copied(engine.infer(pictures[1:2]))
        with pytest.raises(EngineError, match="no batch is under way"):
            engine.collect()
        engine.submit(pictures[1:2])
        with pytest.raises(EngineError, match="under way already"):
            engine.submit(pictures[:1])
        apart = engine.collect()
        for name in OUTPUT_NAMES:
            np.testing.assert_array_equal(getattr(apart, name), getattr(together, name))


@pytest.mark.slow
@every_runtime
def test_strided_frames_give_the_same(opener: Opener, pictures: Frames) -> None:
    with opener() as engine:
        straight = copied(engine.infer(np.ascontiguousarray(pictures[:, :, ::-1])))
        strided = engine.infer(pictures[:, :, ::-1])
        np.testing.assert_array_equal(strided.scores, straight.scores)


@every_runtime
def test_closing(opener: Opener, pictures: Frames) -> None:
    engine = opener()
    engine.submit(pictures[:1])  # a batch under way does not keep it from closing
    engine.close()
    engine.close()
    for use in (lambda: engine.infer(pictures), lambda: engine.submit(pictures), engine.collect):
        with pytest.raises(EngineError, match=r"yolact_lite .*: the engine is closed"):
            use()


@pytest.mark.parametrize("opener", EXACT_RUNTIMES, indirect=True)
def test_float32_runtimes_agree_with_torch(opener: Opener, pictures: Frames, expected: EngineOutputs) -> None:
    """Tolerance between float32 runtimes: scores 1e-4, boxes 1e-4 of the input, masks two levels of 255."""
    assert int(expected.count.sum()) > 30
    with opener() as engine:
        agreement = compare(expected, engine.infer(pictures))
    assert agreement.matched == int(expected.count.sum())
    assert (agreement.only_reference, agreement.only_other) == (0, 0)
    assert agreement.score_shift.max() < 1e-4
    assert agreement.box_shift.max() < 1e-4
    assert agreement.cells_differ.max() < 0.01


@pytest.mark.parametrize("opener", ["openvino auto"], indirect=True)
def test_reduced_precision_stays_near(opener: Opener, pictures: Frames, expected: EngineOutputs) -> None:
    """BF16 on random weights, far touchier than trained ones: docs/engines.md has real numbers."""
    with opener() as engine:
        agreement = compare(expected, engine.infer(pictures), min_score=0.6)
    assert agreement.matched_share > 0.8
    assert np.median(agreement.score_shift) < 0.03
    assert np.median(agreement.mask_iou) > 0.9


@pytest.mark.parametrize("opener", ["openvino fp32", "onnxruntime auto"], indirect=True)
def test_results_do_not_depend_on_the_company(opener: Opener, pictures: Frames) -> None:
    with opener() as engine:
        together = copied(engine.infer(pictures))
        for b in range(3):
            alone = engine.infer(pictures[b : b + 1])
            one = EngineOutputs(*(getattr(together, name)[b : b + 1] for name in OUTPUT_NAMES))
            agreement = compare(one, alone)
            assert agreement.matched_share == 1
            assert agreement.score_shift.max() < 1e-4


class Clock:
    """Stands in for the module `time`: it moves when someone sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_fake_engine_keeps_the_time_of_a_device(
    tiny_engine_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work between submit and collect hides behind the latency; without it the latency is felt."""
    info = replace(read_info(tiny_engine_path), max_detections=1)
    frames = np.zeros((1, 64, 96, 3), np.uint8)
    empty = EngineOutputs(
        np.zeros((1, 1, 4), np.float32),
        np.zeros((1, 1), np.float32),
        np.zeros((1, 1), np.int32),
        np.zeros((1, 1, 2, 2), np.uint8),
        np.zeros(1, np.int32),
    )
    clock = Clock()
    monkeypatch.setattr("streamseg.engines.fake_engine.time", clock)
    with FakeEngine(info, empty, latency_s=0.05) as engine:
        assert engine.runtime == "fake 50 ms"
        engine.submit(frames)
        assert clock.now == 100
        assert engine.collect() is empty
        assert clock.now == pytest.approx(100.05)
        engine.submit(frames)
        clock.sleep(0.06)
        engine.collect()
        assert clock.now == pytest.approx(100.11)
