"""The TensorRT runtime without a GPU: its errors over the real packages, its bookkeeping over a simulated
CUDA (conftest). What only a GPU can prove is in tests/gpu."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("cuda.bindings.runtime", reason="needs cuda-python (the extra `tensorrt`)")

import onnxruntime

from streamseg.engine_contract import INPUT_NAME, OUTPUT_NAMES, EngineOutputs
from streamseg.engines import cuda_memory, tensorrt_plan
from streamseg.engines.build_options import BuildOptions
from streamseg.engines.fingerprint import Fingerprint, write_fingerprint
from streamseg.engines.load import load_engine
from streamseg.engines.locate import list_engines, read_info
from streamseg.engines.machine import Machine
from streamseg.engines.sidecar import sidecar_path
from streamseg.engines.tensorrt_engine import TensorRTEngine
from streamseg.errors import ConfigError, EngineError, NotAnEngine
from streamseg.files import file_sha256

Frames = NDArray[np.uint8]
HERE = Machine("11.4.0.106", "TensorRT", "NVIDIA H200", "9.0", "13.0")
REAL = cuda_memory.cudart
NO_GPU = bool(cuda_memory.gpu_problem())


def write_engine(
    path: Path, onnx: Path, machine: Machine = HERE, batch: tuple[int, int, int] = (1, 1, 2)
) -> Path:
    path.write_bytes(b"plan")
    options = BuildOptions(precision="fp16", batch=batch)
    facts = read_info(onnx), machine, options, str(onnx), "ab" * 32, file_sha256(path)
    write_fingerprint(path, Fingerprint(*facts))
    return path


@pytest.fixture
def engine_path(tmp_path: Path, tiny_engine_path: Path) -> Path:
    return write_engine(tmp_path / "tiny.engine", tiny_engine_path)


@pytest.fixture
def reference(tiny_engine_path: Path) -> Callable[[Frames], EngineOutputs]:
    session = onnxruntime.InferenceSession(tiny_engine_path, providers=["CPUExecutionProvider"])
    return lambda frames: EngineOutputs(*session.run(None, {INPUT_NAME: frames}))


def assert_same(found: EngineOutputs, expected: EngineOutputs) -> None:
    """But for rounding, which depends on the company a frame is in."""
    for name in OUTPUT_NAMES:
        have, want = getattr(found, name), getattr(expected, name)
        assert (have.dtype, have.shape) == (want.dtype, want.shape)
        np.testing.assert_allclose(have, want, atol=1 if name == "masks" else 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_batches_of_any_size(
    plan: Any,
    cuda: Any,
    engine_path: Path,
    pictures: Frames,
    reference: Callable[[Frames], EngineOutputs],
    length: int,
    graphs: bool,
) -> None:
    """The profile ends at 2: five frames go through in three chunks, over two slots."""
    frames = np.concatenate([pictures, pictures[::-1]])[:length]
    with TensorRTEngine(engine_path, graphs=graphs) as engine:
        assert engine.runtime == "tensorrt 11.4.0.106 FP16"
        assert (engine.runtime_name, engine.runtime_version) == ("tensorrt", "11.4.0.106")
        assert engine.precision == "fp16"
        assert engine.info == read_info(engine_path)
        for _ in range(2):
            assert_same(engine.infer(frames), reference(frames))
    chunks = -(-length // 2)
    assert cuda.launches == (2 * chunks if graphs else 0)


def test_frames_may_change_once_they_are_submitted_and_outputs_stay(
    plan: Any, engine_path: Path, pictures: Frames, reference: Callable[[Frames], EngineOutputs]
) -> None:
    """Two sets of outputs: those of a batch are read while the next is under way."""
    frames = pictures[:1].copy()
    with TensorRTEngine(engine_path) as engine:
        engine.submit(frames)
        frames[:] = pictures[1]
        first = engine.collect()
        engine.submit(frames)
        assert_same(first, reference(pictures[:1]))
        assert_same(engine.collect(), reference(pictures[1:2]))


@pytest.mark.parametrize("plan", [(2, 4)], indirect=True)
def test_fewer_frames_than_the_profile_begins_with(
    plan: Any, engine_path: Path, pictures: Frames, reference: Callable[[Frames], EngineOutputs]
) -> None:
    with TensorRTEngine(engine_path) as engine:
        assert_same(engine.infer(pictures[:1]), reference(pictures[:1]))


def test_outputs_outlive_the_engine(plan: Any, cuda: Any, engine_path: Path) -> None:
    with TensorRTEngine(engine_path) as engine:
        kept = engine.infer(np.zeros((1, 64, 96, 3), np.uint8)).scores
    assert cuda.live
    assert kept.sum() >= 0
    del kept, engine
    gc.collect()
    assert cuda.live == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "refused",
    [
        "cudaMalloc",
        "cudaMallocHost",
        "cudaStreamCreateWithFlags",
        "cudaEventCreateWithFlags",
    ],
)
def test_a_failed_start_frees_everything(plan: Any, cuda: Any, engine_path: Path, refused: str) -> None:
    cuda.refuse = refused
    with pytest.raises(
        EngineError, match=rf"^CUDA: {refused} failed \(cudaErrorMemoryAllocation: out of mem"
    ):
        TensorRTEngine(engine_path)


@pytest.mark.slow
@pytest.mark.parametrize("refused", ["cudaGraphInstantiate", "cudaGraphLaunch", "cudaMemcpyAsync"])
def test_a_failed_batch_leaves_the_engine_usable(
    plan: Any, cuda: Any, engine_path: Path, pictures: Frames, refused: str
) -> None:
    with TensorRTEngine(engine_path) as engine:
        cuda.refuse = refused
        with pytest.raises(EngineError, match=f"CUDA: {refused} failed"):
            engine.infer(pictures)
        cuda.refuse = ""
        assert engine.infer(pictures).count.shape == (3,)


def test_what_tensorrt_says_of_a_failure(plan: Any, engine_path: Path, pictures: Frames) -> None:
    with TensorRTEngine(engine_path) as engine:
        plan.fails = True
        with pytest.raises(
            EngineError, match=r"tiny.engine: TensorRT failed on a batch \(cask: launch failed\)$"
        ):
            engine.infer(pictures)


def test_a_plan_that_tensorrt_does_not_read(plan: Any, engine_path: Path, tiny_engine_path: Path) -> None:
    engine_path.write_bytes(b"another version's plan")
    info, digest = read_info(tiny_engine_path), file_sha256(engine_path)
    options = BuildOptions(precision="fp16")
    write_fingerprint(engine_path, Fingerprint(info, HERE, options, "t.onnx", "ab" * 32, digest))
    with pytest.raises(EngineError) as caught:
        TensorRTEngine(engine_path)
    assert str(caught.value) == (
        f"{engine_path}: TensorRT cannot read it (Magic tag does not match in verifyHeader)"
    )


def test_a_plan_of_something_else(plan: Any, engine_path: Path) -> None:
    plan.dtypes["masks"] = "FLOAT"
    with pytest.raises(
        NotAnEngine, match="its tensors are not those of the engine contract; build one with: "
    ):
        TensorRTEngine(engine_path)


def test_panoptic_outputs_come_through_in_chunks(
    plan: Any, cuda: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="needs the extra `models`")
    from tests.engines.tiny_onnx import HW, SEGMENTS, SEMANTIC, rows, write

    onnx = write(tmp_path / "p.onnx", rows(segments=SEGMENTS, semantic=SEMANTIC))
    monkeypatch.setattr(tensorrt_plan, "tensorrt_module", type(plan)(cuda, onnx, (1, 2)).module)
    with TensorRTEngine(write_engine(tmp_path / "p.engine", onnx)) as engine:
        assert list(engine.outputs) == [*OUTPUT_NAMES, "semantic", "segments"]
        assert str(engine.outputs["semantic"]) == "uint8 (B, 2, 3)"
        found = engine.infer(np.zeros((5, *HW, 3), np.uint8))
        np.testing.assert_array_equal(found.arrays()["semantic"], np.stack([SEMANTIC] * 5))
        np.testing.assert_array_equal(found.arrays()["segments"], np.stack([SEGMENTS] * 5))
        assert found.count.tolist() == [2] * 5


def test_a_plan_of_another_length_than_its_fingerprint_says(
    plan: Any, engine_path: Path, tiny_engine_path: Path
) -> None:
    info = replace(read_info(tiny_engine_path), max_detections=7)
    options = BuildOptions(precision="fp16")
    digest = file_sha256(engine_path)
    write_fingerprint(engine_path, Fingerprint(info, HERE, options, "t.onnx", "ab" * 32, digest))
    with pytest.raises(
        NotAnEngine, match=r"boxes is float32 \(B, 20, 4\), expected float32 \(B, 7, 4\); build one with"
    ):
        TensorRTEngine(engine_path)


def test_an_engine_of_another_machine(cuda: Any, tmp_path: Path, tiny_engine_path: Path) -> None:
    older = Machine("11.3.0.1", "TensorRT", "NVIDIA L4", "8.9", "13.0")
    path = write_engine(tmp_path / "old.engine", tiny_engine_path, older, (1, 4, 16))
    with pytest.raises(EngineError) as caught:
        load_engine(path)
    assert str(caught.value) == (
        f"{path}: built with TensorRT 11.3.0.1, here is TensorRT 11.4.0.106; built for NVIDIA L4 (8.9), here"
        f" is NVIDIA H200 (9.0); build it again: streamseg build {tiny_engine_path} -o {path} --batch 1:4:16"
    )


def test_precision_is_that_of_the_build(plan: Any, engine_path: Path) -> None:
    TensorRTEngine(engine_path, precision="fp16").close()
    with pytest.raises(ConfigError, match=r"'int8': .*tiny.engine was built in fp16; use auto or fp16$"):
        TensorRTEngine(engine_path, precision="int8")


def test_truncated_and_bare_files(engine_path: Path) -> None:
    assert str(engine_path) in list_engines(engine_path.parent)
    engine_path.write_bytes(b"pla")
    with pytest.raises(EngineError, match="damaged, or not the file that tiny.engine.json speaks of"):
        load_engine(engine_path)
    sidecar_path(engine_path).unlink()
    with pytest.raises(EngineError, match=r"no fingerprint in .*; engines are built with: streamseg build"):
        load_engine(engine_path)


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_without_a_gpu(engine_path: Path, tiny_engine_path: Path) -> None:
    pytest.importorskip("tensorrt", reason="needs TensorRT, or TensorRT-RTX under its name")
    with pytest.raises(EngineError) as caught:
        load_engine(engine_path)
    assert str(caught.value) == (
        f"{engine_path}: a TensorRT engine needs an NVIDIA GPU: no NVIDIA driver; without one run"
        f" {tiny_engine_path}, which it was built from"
    )


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_the_real_tensorrt_on_a_plan_that_is_none(engine_path: Path) -> None:
    pytest.importorskip("tensorrt", reason="needs TensorRT, or TensorRT-RTX under its name")
    with pytest.raises(EngineError, match=r"tiny.engine: TensorRT (cannot read it|does not start) \(.+\)$"):
        tensorrt_plan.Plan(engine_path, 1, cuda_memory.CudaResources())
    with pytest.raises(EngineError, match=r"CUDA: cudaMalloc failed \(cudaError\w+: CUDA driver version"):
        cuda_memory.CudaResources().device(1)


def test_drivers_that_cannot_be_used(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = REAL.cudaError_t
    assert cuda_memory.gpu_problem() == ""
    monkeypatch.setattr(type(cuda), "do_driver_get_version", lambda self: (12040,), raising=False)
    monkeypatch.setattr(type(cuda), "do_runtime_get_version", lambda self: (13000,), raising=False)
    for error, text in (
        (errors.cudaErrorInsufficientDriver, "the NVIDIA driver is for CUDA 12.4, cuda-python for 13.0"),
        (errors.cudaErrorNoDevice, "cudaErrorNoDevice: no CUDA-capable device is detected"),
    ):
        monkeypatch.setattr(cuda, "cudaGetDeviceCount", lambda error=error: (error, None), raising=False)
        assert cuda_memory.gpu_problem() == text
