"""INT8 of networks with hard swishes: channels of very different size, dead ones, what stays in float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="needs the extra `models`")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from streamseg.compile.calibration_frames import calibration_frames  # noqa: E402
from streamseg.compile.equalize import Range, ends_in_swishes, round_equalized  # noqa: E402
from streamseg.compile.quantize import quantize  # noqa: E402
from streamseg.engines.agreement import compare  # noqa: E402
from streamseg.engines.load import load_engine  # noqa: E402
from streamseg.engines.locate import find_engine, read_info  # noqa: E402

CHANNELS = 8
Array = NDArray[np.float32]


def two_convolutions(gain: Array) -> Any:
    """uint8 frames → 1×1 convolution whose channels are `gain` times as large → hard swish → a depthwise one
    and one of the channels' means, added: (1, 8, h, w)."""
    rng = np.random.default_rng(3)
    first = rng.normal(size=(CHANNELS, 3, 1, 1)) * gain.reshape(-1, 1, 1, 1) / 100
    second = rng.normal(size=(CHANNELS, 1, 3, 3)) / np.maximum(gain, 1e-3).reshape(-1, 1, 1, 1)
    means = rng.normal(size=(CHANNELS, CHANNELS, 1, 1)) / np.maximum(gain, 1e-3).reshape(1, -1, 1, 1)
    weights = {"first": first, "second": second, "means": means}
    nodes = [
        helper.make_node("Cast", ["frames"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "first"], ["a"], name="conv_first"),
        helper.make_node("HardSwish", ["a"], ["b"]),
        helper.make_node(
            "Conv", ["b", "second"], ["c"], name="conv_second", group=CHANNELS, pads=[1, 1, 1, 1]
        ),
        helper.make_node("ReduceMean", ["b"], ["m"], axes=[2, 3], keepdims=1),
        helper.make_node("Conv", ["m", "means"], ["d"], name="conv_means"),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, CHANNELS, 16, 16])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: Any, frames: NDArray[np.uint8]) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"frames": frames})[0], np.float32)


def error_of(gain: Array, *, signed: bool = False) -> Array:
    """(8,) of each channel of what comes out: the mean error of the INT8 form over the mean size."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (1, 3, 16, 16)).astype(np.uint8) for _ in range(3)]
    names = ["conv_first", "conv_second", "conv_means"]
    feeds = iter([{"frames": frame} for frame in frames[:2]])
    int8 = round_equalized(two_convolutions(gain), names, feeds, signed)
    truth, rounded = run(two_convolutions(gain), frames[2]), run(int8, frames[2])
    return np.asarray(np.abs(rounded - truth).mean((0, 2, 3)) / np.abs(truth).mean((0, 2, 3)), np.float32)


@pytest.mark.parametrize("signed", [False, True])
def test_small_channels_keep_their_levels_beside_large_ones(
    signed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A range for all of them, 5,000 times that of the smallest, leaves that one a single level."""
    gain = np.geomspace(1, 5000, CHANNELS).astype(np.float32)
    assert error_of(gain, signed=signed).max() < 0.15
    monkeypatch.setattr("streamseg.compile.equalize._factors", lambda weights, sizes: np.ones_like(sizes))
    assert error_of(gain, signed=signed).max() > 0.5


def test_a_channel_that_the_footage_never_lit_has_a_range_all_the_same() -> None:
    """Of nothing, any later value would be beyond all bounds."""
    seen = Range(np.array([0, -1, -2], np.float32), np.array([0, 4, 6], np.float32))
    assert seen.size == pytest.approx([1.2, 4, 6], rel=1e-4)


@pytest.mark.parametrize("signed", [False, True])
def test_what_is_rounded_and_how(signed: bool) -> None:
    frame = np.full((1, 3, 16, 16), 200, np.uint8)
    gain = np.geomspace(1, 100, CHANNELS).astype(np.float32)
    names = ["conv_first", "conv_second", "conv_means"]
    graph = round_equalized(two_convolutions(gain), names, iter([{"frames": frame}]), signed).graph
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    in_int8 = {
        node.name
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] in makers and node.input[0] in makers
        if makers[node.input[0]].op_type == makers[node.input[1]].op_type == "DequantizeLinear"
    }
    assert in_int8 == {"conv_first", "conv_second"}  # not that of single values
    zeros = [stored[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8 if signed else np.uint8)}
    assert not signed or not any(zero.any() for zero in zeros)


@pytest.mark.slow
def test_compact_in_int8_finds_what_it_finds_in_float(tmp_path: Path) -> None:
    """Rounded with one range for a map, its highest score was 0.12."""
    source = find_engine("compact")
    assert ends_in_swishes(onnx.load(source).graph)
    assert not ends_in_swishes(onnx.load(find_engine("shapes")).graph)
    info = read_info(source)
    frames = list(calibration_frames("synthetic:5?frames=60", info, 3))
    path = quantize(source, tmp_path / "int8.onnx", frames)
    batch = np.stack(frames)
    with load_engine(source, "onnxruntime", "fp32") as one, load_engine(path, "onnxruntime", "fp32") as other:
        reference = one.infer(batch)
        agreement = compare(reference, other.infer(batch), min_score=0.1)
    assert agreement.matched > 3
    assert agreement.matched_share > 0.8
    assert np.median(agreement.mask_iou) > 0.9
