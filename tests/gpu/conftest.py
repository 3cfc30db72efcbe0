"""What a GPU must prove. Without one these tests skip and say why, or fail with FAIL_WITHOUT_GPU=1."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.engine_contract import OUTPUT_NAMES, EngineOutputs
from streamseg.errors import StreamsegError
from streamseg.scene import SyntheticScene

BATCH = (1, 2, 4)
"""The profile of the engines that are built here."""
INPUT_SCENES = 6


def absent(why: str) -> NoReturn:
    if os.environ.get("FAIL_WITHOUT_GPU") == "1":
        pytest.fail(f"FAIL_WITHOUT_GPU=1: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def cuda_gpu() -> None:
    """A GPU that cuda-python can use, and TensorRT."""
    try:
        from streamseg.engines.cuda_memory import gpu_problem
        from streamseg.engines.tensorrt_api import tensorrt_module

        tensorrt_module()
    except StreamsegError as error:
        absent(str(error))
    if problem := gpu_problem():
        absent(f"needs an NVIDIA GPU: {problem}")


@pytest.fixture(scope="session")
def torch_gpu() -> None:
    """A GPU that torch sees."""
    try:
        import torch
    except ImportError:
        absent("needs torch: pip install 'streamseg[models]'")
    if not torch.cuda.is_available():
        absent("needs a GPU that torch sees")


@pytest.fixture(scope="session")
def onnx_path() -> Path:
    """A bundled engine, trained: its scores are not all near ties."""
    from streamseg.engines.locate import find_engine

    return find_engine("shapes")


@pytest.fixture(scope="session")
def pictures(onnx_path: Path) -> NDArray[np.uint8]:
    """(6, h, w, 3): scenes of the kind that this engine was trained on."""
    from streamseg.engines.locate import read_info

    height, width = read_info(onnx_path).input_hw
    scenes = [SyntheticScene(seed, (540, 960)).frame(0)[0] for seed in range(INPUT_SCENES)]
    return np.stack([cv2.resize(scene, (width, height)) for scene in scenes]).astype(np.uint8)


@pytest.fixture(scope="session")
def expected(onnx_path: Path, pictures: NDArray[np.uint8]) -> EngineOutputs:
    """What ONNX Runtime says of them, in float32 on the CPU."""
    from streamseg.engines.load import load_engine

    with load_engine(onnx_path, "onnxruntime") as engine:
        found = engine.infer(pictures)
        return EngineOutputs(*(getattr(found, name).copy() for name in OUTPUT_NAMES))


@pytest.fixture(scope="session")
def built(cuda_gpu: None, onnx_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Precision → the bundled engine built in it, once for all tests."""
    from streamseg.compile.build import build_engine
    from streamseg.engines.build_options import BuildOptions
    from streamseg.progress import LogWatcher

    folder = tmp_path_factory.mktemp("engines")

    def build(precision: str) -> Path:
        path = folder / f"{precision}.engine"
        if not path.exists():
            options = BuildOptions(precision=precision, batch=BATCH)  # type: ignore[arg-type]
            build_engine(onnx_path, path, options, LogWatcher(), cache_dir=folder)
        return path

    return build
