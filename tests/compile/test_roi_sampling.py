"""RoiAlign by GridSample gives what ONNX Runtime's gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra `models`")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from streamseg.compile.roi_sampling import with_sampled_rois  # noqa: E402
from streamseg.errors import ExportError  # noqa: E402

HEIGHT, WIDTH, BOXES = 17, 23, 12


def roi_model(height: int | str = HEIGHT, **attributes: Any) -> Any:
    """Shapes of inputs are no value_info: the map is made by a node, as in a network."""
    given = {"output_height": 7, "output_width": 7, "spatial_scale": 0.5, "sampling_ratio": 2} | attributes
    nodes = [
        helper.make_node("Identity", ["x_in"], ["x"]),
        helper.make_node("RoiAlign", ["x", "boxes", "picture"], ["y"], name="roi", **given),
    ]
    inputs = [
        helper.make_tensor_value_info("x_in", TensorProto.FLOAT, ["B", 4, height, WIDTH]),
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["R", 4]),
        helper.make_tensor_value_info("picture", TensorProto.INT64, ["R"]),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "rois", inputs, [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model: Any, feeds: dict[str, Any]) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("mode", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("batch", [1, 2])
def test_equals_onnx_runtime(mode: str, batch: int) -> None:
    """Boxes of a tenth of a cell to the whole map, at its borders too."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, [2 * WIDTH - 6, 2 * HEIGHT - 6], (batch * BOXES, 2))
    high = np.minimum(low + rng.uniform(0.2, 30, low.shape), [2 * WIDTH - 2, 2 * HEIGHT - 2])
    feeds = {
        "x_in": rng.normal(size=(batch, 4, HEIGHT, WIDTH)).astype(np.float32),
        "boxes": np.concatenate([low, high], 1).astype(np.float32),
        "picture": np.repeat(np.arange(batch), BOXES),
    }
    model = roi_model(coordinate_transformation_mode=mode)
    replaced = with_sampled_rois(model, "engine.onnx")

    assert "RoiAlign" not in {node.op_type for node in replaced.graph.node}
    assert np.allclose(run(replaced, feeds), run(model, feeds), atol=1e-4)


@pytest.mark.parametrize("model", [roi_model(height="h"), roi_model(mode="max")])
def test_forms_that_it_has_not(model: Any) -> None:
    with pytest.raises(ExportError, match=r"engine\.onnx: x: a RoiAlign that TensorRT-RTX cannot have"):
        with_sampled_rois(model, "engine.onnx")
