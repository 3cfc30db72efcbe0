"""Engines that went wrong in known ways, and what to try them on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

FOOTAGE = "synthetic:3?frames=40&size=160x96&objects=4"


@pytest.fixture(scope="session")
def footage() -> str:
    """Forty frames; the tiny engine sees things in them."""
    return FOOTAGE


@pytest.fixture
def copy_of(tiny_engine_path: Path, tmp_path: Path) -> Path:
    """The tiny engine under a name of its own, so that it may have a sidecar."""
    path = tmp_path / "copy.onnx"
    path.write_bytes(tiny_engine_path.read_bytes())
    return path


@pytest.fixture
def altered(tiny_engine_path: Path, tmp_path: Path) -> Callable[..., Path]:
    """An engine with another first convolution, or other metadata."""

    def make(change: Callable[[np.ndarray], np.ndarray] | None = None, **metadata: str) -> Path:
        import onnx

        model = onnx.load(tiny_engine_path)
        if change:
            convolution = next(node for node in model.graph.node if node.op_type == "Conv")
            first = next(t for t in model.graph.initializer if t.name == convolution.input[1])
            weights = np.ascontiguousarray(change(onnx.numpy_helper.to_array(first)), np.float32)
            first.CopyFrom(onnx.numpy_helper.from_array(weights, first.name))
        for entry in model.metadata_props:
            entry.value = metadata.get(entry.key.removeprefix("streamseg."), entry.value)
        path = tmp_path / "altered.onnx"
        onnx.save(model, path)
        return path

    return make
