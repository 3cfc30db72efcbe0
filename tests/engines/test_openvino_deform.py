"""Deformable convolutions in OpenVINO give what ONNX Runtime gives."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamseg.engines.openvino_engine import CORE


def write_model(path: Path, stride: int, group: int = 1, **attributes: Any) -> None:
    rng = np.random.default_rng(0)
    side = 8 // stride
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", width, size, size])
        for name, width, size in (("x", 4, 8), ("offsets", 18, side), ("factors", 9, side))
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    weights = numpy_helper.from_array(rng.normal(size=(6, 4 // group, 3, 3)).astype(np.float32), "weights")
    bias = numpy_helper.from_array(np.arange(6, dtype=np.float32), "bias")
    node = helper.make_node(
        "DeformConv",
        ["x", "weights", "offsets", "bias", "factors"],
        ["y"],
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        strides=[stride, stride],
        group=group,
        **attributes,
    )
    graph = helper.make_graph([node], "deform", inputs, [output], [weights, bias])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)


def read(path: Path) -> Any:
    return CORE.compile_model(CORE.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.mark.parametrize(("stride", "group"), [(1, 1), (2, 1), (1, 2)])
def test_equals_onnx_runtime(tmp_path: Path, stride: int, group: int) -> None:
    """Offsets of several cells: many places lie beyond the border, or between it and the first cell."""
    write_model(tmp_path / "d.onnx", stride, group)
    rng, side = np.random.default_rng(1), 8 // stride
    feeds = {
        "x": rng.normal(size=(2, 4, 8, 8)).astype(np.float32),
        "offsets": 3 * rng.normal(size=(2, 18, side, side)).astype(np.float32),
        "factors": rng.random((2, 9, side, side), np.float32),
    }

    found = read(tmp_path / "d.onnx")(feeds)[0]

    session = onnxruntime.InferenceSession(tmp_path / "d.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(found, session.run(None, feeds)[0], atol=2e-5)


def test_other_forms_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "d.onnx", 1, offset_group=2)
    with pytest.raises(Exception, match="2 offset groups"):
        read(tmp_path / "d.onnx")
