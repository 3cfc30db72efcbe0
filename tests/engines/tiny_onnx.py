"""ONNX engines of a few nodes: every output is a constant, repeated for each frame of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamseg.engine_contract import EngineInfo
from streamseg.engines.metadata import metadata_from_info

HW = (16, 24)
K = 3
INFO = EngineInfo("yolact", "tiny", ("cat", "dog"), "stretch", HW, K, 0.05)
FIRST_CONTRACT = ("contract", "family", "model", "classes", "resize", "pad", "max_detections")
FIRST_CONTRACT += ("score_threshold", "checkpoint", "checkpoint_sha256", "version")
SEMANTIC = np.tile(np.uint8([[0, 1, 255]]), (2, 1))
SEGMENTS = np.tile(np.uint8([[1, 2, 0]]), (2, 1))


def rows(**changes: Any) -> dict[str, NDArray[Any]]:
    """One frame's outputs: two instances in a list of three."""
    arrays = {
        "boxes": np.float32([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0, 0, 0]]),
        "scores": np.float32([0.9, 0.8, 0]),
        "classes": np.int32([1, 0, 0]),
        "masks": np.full((K, 4, 6), 200, np.uint8),
        "count": np.int32(2),
    }
    return arrays | changes


def first_contract(info: EngineInfo = INFO) -> dict[str, str]:
    """Metadata as contract 1 has it."""
    metadata = metadata_from_info(info)
    return {f"streamseg.{key}": metadata[f"streamseg.{key}"] for key in FIRST_CONTRACT} | {
        "streamseg.contract": "1"
    }


def write(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
    *,
    declared: Mapping[str, tuple[int, list[int | str]]] | None = None,
    factor: float | None = None,
) -> Path:
    """An engine that gives `arrays` for each frame. `declared`: element type and shape to claim for an output
    in place of what it has; `factor`: what the scores are multiplied with, by a node of its own."""
    nodes, constants, outputs = [], [], []
    for name, value in arrays.items():
        array = np.asarray(value)
        constants.append(numpy_helper.from_array(array[None], f"{name}_row"))
        constants.append(numpy_helper.from_array(np.array(array.shape, np.int64), f"{name}_rest"))
        nodes.append(helper.make_node("Concat", ["batch", f"{name}_rest"], [f"{name}_shape"], axis=0))
        scaled = factor is not None and name == "scores"
        result = "scores_before" if scaled else name
        nodes.append(helper.make_node("Expand", [f"{name}_row", f"{name}_shape"], [result]))
        if scaled:
            constants.append(numpy_helper.from_array(np.float32(factor), "factor"))
            nodes.append(helper.make_node("Mul", [result, "factor"], [name]))
        kind: tuple[int, list[Any]] = (helper.np_dtype_to_tensor_dtype(array.dtype), ["B", *array.shape])
        kind = (declared or {}).get(name, kind)
        outputs.append(helper.make_tensor_value_info(name, *kind))
    ends = [numpy_helper.from_array(np.int64([end]), name) for name, end in (("zero", 0), ("one", 1))]
    before = [
        helper.make_node("Shape", ["frames"], ["all"]),
        helper.make_node("Slice", ["all", "zero", "one"], ["batch"]),
    ]
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["B", *HW, 3])
    graph = helper.make_graph([*before, *nodes], "tiny", [frames], outputs, [*ends, *constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, dict(metadata_from_info(INFO) if metadata is None else metadata))
    onnx.save(model, path)
    return path
