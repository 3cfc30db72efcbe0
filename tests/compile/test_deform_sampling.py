"""A deformable convolution by GridSample gives what ONNX Runtime's gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra `models`")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from streamseg.compile.deform_sampling import with_sampled_deform_conv  # noqa: E402
from streamseg.errors import ExportError  # noqa: E402

HEIGHT, WIDTH = 8, 11


def deform_model(stride: int, **attributes: Any) -> Any:
    rng = np.random.default_rng(0)
    out_h, out_w = (HEIGHT - 1) // stride + 1, (WIDTH - 1) // stride + 1
    shapes = {"x": (4, HEIGHT, WIDTH), "offsets": (18, out_h, out_w), "factors": (9, out_h, out_w)}
    inputs = [
        helper.make_tensor_value_info(f"{name}_in", TensorProto.FLOAT, ["B", *shape])
        for name, shape in shapes.items()
    ]
    # Shapes of inputs are no value_info: the network's tensors are made by nodes.
    nodes = [helper.make_node("Identity", [f"{name}_in"], [name]) for name in shapes]
    names = ["x", "weights", "offsets", "bias", "factors"]
    nodes.append(
        helper.make_node(
            "DeformConv", names, ["y"], name="deform", pads=[1, 1, 1, 1], strides=[stride] * 2, **attributes
        )
    )
    weights = rng.normal(size=(5, 4 // attributes.get("group", 1), 3, 3)).astype(np.float32)
    stored = {"weights": weights, "bias": np.arange(5, dtype=np.float32)}
    graph = helper.make_graph(
        nodes,
        "deform",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model: Any, feeds: dict[str, Any]) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("stride", [1, 2])
def test_equals_onnx_runtime(stride: int) -> None:
    """Offsets of several cells: many places lie beyond the border, or between it and the first cell."""
    model = deform_model(stride)
    rng = np.random.default_rng(1)
    sides = {
        info.name: [d.dim_value for d in info.type.tensor_type.shape.dim[1:]] for info in model.graph.input
    }
    feeds = {
        "x_in": rng.normal(size=(2, *sides["x_in"])).astype(np.float32),
        "offsets_in": 3 * rng.normal(size=(2, *sides["offsets_in"])).astype(np.float32),
        "factors_in": rng.random((2, *sides["factors_in"]), np.float32),
    }
    rewritten = with_sampled_deform_conv(model, "deform.onnx")
    kinds = [n.op_type for n in rewritten.graph.node]
    assert "DeformConv" not in kinds
    assert kinds.count("GridSample") == 1
    np.testing.assert_allclose(run(rewritten, feeds), run(model, feeds), atol=2e-5)


def test_other_forms_are_refused() -> None:
    with pytest.raises(
        ExportError, match=r"deform\.onnx: deform: a DeformConv that TensorRT-RTX cannot have"
    ):
        with_sampled_deform_conv(deform_model(1, offset_group=2), "deform.onnx")
