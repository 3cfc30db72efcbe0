"""INT8 engines: what is quantised, what stays float, how near the result is, and bad input.

The source is the bundled engine, whose weights were trained and are stored in half precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="needs the extra `models`")

from streamseg.compile.calibration_frames import calibration_frames  # noqa: E402
from streamseg.compile.quantize import quantize  # noqa: E402
from streamseg.engine_contract import EngineOutputs  # noqa: E402
from streamseg.engines.agreement import compare  # noqa: E402
from streamseg.engines.load import load_engine  # noqa: E402
from streamseg.engines.locate import find_engine, read_info  # noqa: E402
from streamseg.errors import EngineError, ExportError  # noqa: E402

Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def float_path() -> Path:
    return find_engine("shapes")


@pytest.fixture(scope="module")
def frames(float_path: Path) -> list[Frames]:
    return list(calibration_frames("synthetic:5?frames=60", read_info(float_path), 6))


@pytest.fixture(scope="module", params=["unsigned", "signed"])
def int8_path(
    request: pytest.FixtureRequest,
    float_path: Path,
    frames: list[Frames],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    output = tmp_path_factory.mktemp("int8") / f"{request.param}.onnx"
    return quantize(float_path, output, frames, signed=request.param == "signed")


def by_output(path: Path) -> dict[str, Any]:
    return {name: node for node in onnx.load(path).graph.node for name in node.output}


def quantised_weights(path: Path) -> set[str]:
    """Names of the weights that a convolution reads through DequantizeLinear."""
    nodes = by_output(path)
    makers = [nodes.get(node.input[1]) for node in nodes.values() if node.op_type == "Conv"]
    assert makers
    return {m.input[0] for m in makers if m is not None and m.op_type == "DequantizeLinear"}


def all_outputs(path: Path, frames: list[Frames], runtime: str) -> EngineOutputs:
    with load_engine(path, runtime, "fp32", 1) as engine:
        return engine.infer(np.stack(frames))


@pytest.mark.slow
def test_every_convolution_of_the_network_and_nothing_else(int8_path: Path, float_path: Path) -> None:
    float_convs = {n.input[1] for n in onnx.load(float_path).graph.node if n.op_type == "Conv"}
    assert {f"{name}_quantized" for name in float_convs} == quantised_weights(int8_path)
    nodes = by_output(int8_path)
    readers = {n.op_type for n in nodes.values() for i in n.input if "DequantizeLinear" in i}
    assert "TopK" not in readers
    assert "Softmax" not in readers


@pytest.mark.slow
def test_the_cpu_form_leaves_out_the_relus(float_path: Path, int8_path: Path) -> None:
    """Their range is the convolution's, in the unsigned form; levels are not spent on what they cut off."""

    def count(path: Path) -> int:
        graph = onnx.load(path).graph
        convolved = {n.output[0] for n in graph.node if n.op_type == "Conv"}
        return sum(n.op_type in ("Relu", "Clip") and n.input[0] in convolved for n in graph.node)

    assert count(float_path) > 40
    assert count(int8_path) == (0 if int8_path.stem == "unsigned" else count(float_path))


@pytest.mark.slow
def test_signed_numbers_are_symmetric_and_not_between_a_convolution_and_its_relu(
    float_path: Path, frames: list[Frames], tmp_path: Path
) -> None:
    """What TensorRT asks for: int8 with zero points of 0; and what lets it fuse."""
    path = quantize(float_path, tmp_path / "signed.onnx", frames, signed=True)
    graph = onnx.load(path).graph
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    rounded = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zero_points = [stored[node.input[2]] for node in rounded]
    assert len(rounded) > 50
    assert {z.dtype for z in zero_points} == {np.dtype(np.int8)}
    assert not any(z.any() for z in zero_points)
    dequantised = {n.output[0] for n in rounded if n.op_type == "DequantizeLinear"}
    assert not dequantised & {i for n in graph.node if n.op_type == "Relu" for i in n.input}


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_finds_what_the_float_engine_finds(
    int8_path: Path, float_path: Path, frames: list[Frames], runtime: str
) -> None:
    reference = all_outputs(float_path, frames, "onnxruntime")
    agreement = compare(reference, all_outputs(int8_path, frames, runtime), min_score=0.3)
    assert agreement.matched > 10
    assert agreement.matched_share > 0.9
    assert 0 < np.median(agreement.score_shift) < 0.05
    assert np.median(agreement.mask_iou) > 0.95


@pytest.mark.slow
def test_mixed_keeps_fpn_and_heads_in_float(float_path: Path, frames: list[Frames], tmp_path: Path) -> None:
    path = quantize(float_path, tmp_path / "mixed.onnx", frames, mixed=True)
    parts = {name.split(".")[1] for name in quantised_weights(path)}
    assert parts == {"backbone", "proto_net"}
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert metadata["streamseg.precision"] == "mixed"


@pytest.mark.slow
def test_says_of_itself_what_its_source_says_and_that_it_is_int8(int8_path: Path, float_path: Path) -> None:
    assert read_info(int8_path) == replace(read_info(float_path), precision="int8")
    with load_engine(int8_path, "onnxruntime") as ort, load_engine(int8_path, "openvino", "fp32") as vino:
        assert ort.runtime == f"onnxruntime {onnxruntime.__version__} INT8, rest FP32"
        assert vino.runtime.endswith(" INT8, rest FP32")


def test_bad_input_leaves_nothing_behind(float_path: Path, frames: list[Frames], tmp_path: Path) -> None:
    output = tmp_path / "out" / "int8.onnx"
    with pytest.raises(ExportError, match="there is no folder"):
        quantize(float_path, output, frames)
    output.parent.mkdir()
    with pytest.raises(ExportError, match="no frames came"):
        quantize(float_path, output, [])
    with pytest.raises(
        ExportError, match=r"calibration frame 1: uint8 \(3, 4, 3\), expected uint8 \(320, 448, 3\)"
    ):
        quantize(float_path, output, [frames[0], np.zeros((3, 4, 3), np.uint8)])
    with pytest.raises(EngineError, match="no such file"):
        quantize(tmp_path / "none.onnx", output, frames)
    assert list(output.parent.iterdir()) == []


def test_an_engine_that_finds_nothing_any_more_is_not_written(
    float_path: Path, frames: list[Frames], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(model: Any, nodes: list[str], reader: Any, *_: object) -> Any:
        while reader.get_next() is not None:
            pass
        next(n for n in model.graph.node if "scores" in n.output).output[:] = ["alive"]
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.1), "little"))
        model.graph.node.append(onnx.helper.make_node("Mul", ["alive", "little"], ["scores"]))
        return model

    monkeypatch.setattr("streamseg.compile.quantize._quantized", dead)
    said = r"int8.onnx: finds nothing in INT8, its best score on 4 calibration frames is 0\.1., in FP32 1\."
    with pytest.raises(ExportError, match=said):
        quantize(float_path, tmp_path / "int8.onnx", frames)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_int8_engine_is_not_quantised_again(int8_path: Path, frames: list[Frames], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not an FP32 engine"):
        quantize(int8_path, tmp_path / "again.onnx", frames)


class Interrupted:
    def say(self, text: str) -> None:
        raise KeyboardInterrupt(text)


def test_an_interrupt_leaves_nothing_behind(float_path: Path, frames: list[Frames], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="calibration: frame 1"):
        quantize(float_path, tmp_path / "int8.onnx", frames, watcher=Interrupted())
    assert list(tmp_path.iterdir()) == []
