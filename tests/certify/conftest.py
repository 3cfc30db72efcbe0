"""Instances of exact rectangles, and engines that went wrong in known ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamseg.structures import Instances, Masks

FRAME_HW = (60, 80)
FOOTAGE = "synthetic:3?frames=40&size=160x96&objects=4"


@pytest.fixture(scope="session")
def rectangles() -> Callable[..., Instances]:
    """Instances from rows (x0, y0, x1, y1, score, class); a pixel is a cell, so masks are exact."""

    def make(*rows: tuple[int, int, int, int, float, int], blank: tuple[int, ...] = ()) -> Instances:
        soft = np.zeros((len(rows), *FRAME_HW), np.uint8)
        for k, (x0, y0, x1, y1, _, _) in enumerate(rows):
            soft[k, y0:y1, x0:x1] = 0 if k in blank else 255
        table = np.array(rows, float).reshape(-1, 6)
        return Instances(
            table[:, :4].astype(np.float32),
            table[:, 4].astype(np.float32),
            table[:, 5].astype(np.int32),
            Masks(soft, (1.0, 1.0), FRAME_HW),
        )

    return make


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
