"""Networks in half precision: the types of their graphs, and what they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra `models`")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from streamseg.compile.precision import lowered, network_nodes  # noqa: E402
from streamseg.engines.metadata import SCOPES  # noqa: E402
from streamseg.errors import ExportError  # noqa: E402

NETWORK, TAIL = "['', 'model', 'model.conv']", "['', 'tail', 'exp']"
NORM = "['', 'model', 'model.gn', 'group_norm_1']"


def node(kind: str, inputs: list[str], output: str, scope: str = "", **attributes: Any) -> Any:
    made = helper.make_node(kind, inputs, [output], name=output, **attributes)
    if scope:
        made.metadata_props.add(key=SCOPES, value=scope)
    return made


def small_model(weight: float = 1.0) -> Any:
    """uint8 → float → ×scale (before) → Conv, norm, Relu, Split (network) → Exp (tail)."""
    nodes = [
        node("Cast", ["frames"], "x", "['', '_to_copy']", to=TensorProto.FLOAT),
        node("Mul", ["x", "scale"], "scaled", "['', 'mul']"),
        node("Conv", ["scaled", "weight"], "conv", NETWORK),
        node("InstanceNormalization", ["conv", "gain", "shift"], "normed", NORM),
        node("Mul", ["normed", "scale"], "affine", NORM),
        node("Relu", ["affine"], "relu", NETWORK),
        node("Identity", ["relu"], "added by a tool"),
        node("Exp", ["added by a tool"], "boxes", TAIL),
    ]
    weights = {
        "scale": np.float32(1 / 64),
        "weight": weight * np.array([[0.3, 0.7], [-0.2, 0.9]], np.float32)[..., None, None],
        "gain": np.ones(2, np.float32),
        "shift": np.array([0.25, -0.25], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["B", 2, 4, 4])],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["B", 2, 4, 4])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, {"streamseg.model": "small"})
    return model


def types_of(model: Any) -> dict[str, int]:
    return {info.name: info.type.tensor_type.elem_type for info in model.graph.value_info}


@pytest.mark.parametrize(
    ("precision", "code"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)]
)
def test_only_the_network_changes_its_type(precision: Any, code: int) -> None:
    model = lowered(small_model(), precision, "small.onnx")
    onnx.checker.check_model(model, full_check=True)
    types = types_of(model)
    assert [types[name] for name in ("conv", "relu", "added by a tool")] == [code] * 3
    assert [types[name] for name in ("x", "scaled", "normed", "affine")] == [TensorProto.FLOAT] * 4
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert {entry.key: entry.value for entry in model.metadata_props} == {"streamseg.model": "small"}
    assert "weight" not in {tensor.name for tensor in model.graph.initializer}


def test_one_cast_where_the_type_changes() -> None:
    model = lowered(small_model(), "fp16", "small.onnx")
    casts = [n.input[0] for n in model.graph.node if n.op_type == "Cast"]
    assert casts == ["frames", "scaled", "conv", "affine", "added by a tool"]


def test_gives_what_fp32_gives_to_half_precision() -> None:
    """On the CPU, where ONNX Runtime rounds weights and what it casts, not what is between."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 4), np.uint8)
    full, half = (
        onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"frames": frames}
        )[0]
        for m in (small_model(), lowered(small_model(), "fp16", "small.onnx"))
    )
    np.testing.assert_allclose(half, full, rtol=1e-2)
    assert np.abs(half - full).max() > 0


@pytest.mark.slow
def test_a_whole_engine_agrees(tiny_engine_path: Path) -> None:
    """FP16 of the tiny network against FP32, as certificates compare: every instance, scores to 1e-2."""
    from streamseg.compile.quantize import float_model
    from streamseg.engine_contract import INPUT_NAME, OUTPUT_NAMES, EngineOutputs
    from streamseg.engines.agreement import compare
    from streamseg.export.check import sample_frames

    model = float_model(tiny_engine_path)
    frames = sample_frames((64, 96))
    full, half = (
        EngineOutputs(
            *onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(
                list(OUTPUT_NAMES), {INPUT_NAME: frames}
            )
        )
        for m in (model, lowered(model, "fp16", "tiny.onnx"))
    )
    agreement = compare(full, half)
    assert agreement.matched_share > 0.9
    assert np.quantile(agreement.score_shift, 0.9) < 1e-2
    assert agreement.score_shift.max() > 0


def test_weights_beyond_the_range_are_refused() -> None:
    with pytest.raises(ExportError, match=r"small\.onnx: weight has weights beyond FP16's range; use bf16"):
        lowered(small_model(weight=9e4), "fp16", "small.onnx")
    lowered(small_model(weight=9e4), "bf16", "small.onnx")


def test_rounding_belongs_to_what_it_is_made_for() -> None:
    """The first convolution's input: Q with the frames, in FP32, DQ with the network."""
    model = small_model()
    extra = [
        node("QuantizeLinear", ["scaled", "scale", "zero"], "q"),
        node("DequantizeLinear", ["q", "scale", "zero"], "dq"),
    ]
    before, after = list(model.graph.node[:2]), list(model.graph.node[2:])
    after[0].input[0] = "dq"
    del model.graph.node[:]
    model.graph.node.extend([*before, *extra, *after])
    model.graph.initializer.append(numpy_helper.from_array(np.int8(0), "zero"))
    assert network_nodes(model.graph, "small.onnx")[2:5] == [False, True, True]
    model = lowered(model, "fp16", "small.onnx")
    assert types_of(model)["dq"] == TensorProto.FLOAT16
    assert [n.op_type for n in model.graph.node][:5] == [
        "Cast",
        "Mul",
        "QuantizeLinear",
        "DequantizeLinear",
        "Conv",
    ]


def test_a_network_without_scopes_is_refused() -> None:
    model = small_model()
    for each in model.graph.node:
        del each.metadata_props[:]
    with pytest.raises(ExportError, match="cannot tell its network from what follows it"):
        lowered(model, "fp16", "small.onnx")
