"""An FP32 engine file → the same engine with INT8 convolutions, by explicit Q/DQ.

Only convolutions of the network are quantised, weights per output channel, biases in float; the tail
(decoding, NMS, masks) stays in float32. There are two forms, because no one form suits both:

- for the CPU, unsigned activations with a zero point on both sides of each convolution. ONNX Runtime then
  folds Relu into the rounding and runs all convolutions in INT8; of the signed form it runs less than half
  (40 of 86 in YOLACT-R50, 1.4 instead of 2.7 times as fast as FP32). OpenVINO runs either.
- `signed`, for TensorRT, which takes symmetric signed numbers alone: rounded only where they enter a
  convolution, so that what follows one (Relu, a sum) is fused into it and not rounded twice.

Networks with hard swishes are rounded in a third way, signed or not; OpenVINO runs it fast: see `equalize`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from streamseg.compile.equalize import ends_in_swishes, round_equalized
from streamseg.compile.precision import LATER_NETWORK
from streamseg.engine_contract import INPUT_NAME, OUTPUT_NAMES, EngineInfo
from streamseg.engines.locate import read_info
from streamseg.engines.metadata import metadata_from_info
from streamseg.errors import ExportError
from streamseg.files import replace_synced
from streamseg.progress import Watcher

__all__ = ["float_model", "quantize"]

RECTIFIERS = ("Relu", "Clip")

LOOKED_AT = 4
"""Calibration frames that the result is tried on."""
ALIVE = 0.3
"""A score that says that there is something."""
NETWORK = "model."
"""What the names of the network's weights begin with; the tail has none of its own."""
KEPT_FLOAT = ("maskiou_net", "conv_offset")
"""The judge of YOLACT++, which is part of the tail, and the offsets of deformable convolutions: they are
pixels, and eight bits over their range would move what is sampled by a good part of one."""
MIXED = ("model.backbone.", "model.proto_net.", "model.head.mask_feature_head.", "model.head.mask_head.")
"""What YolactEdge (Liu et al. 2020) runs in INT8: backbone and ProtoNet; the FPN and the heads stay float."""
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}
"""Metadata by which ONNX Runtime's quantiser knows that shapes are inferred and BatchNorm is folded."""


def quantize(
    source: str | Path,
    output: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    mixed: bool = False,
    signed: bool = False,
    watcher: Watcher | None = None,
) -> Path:
    """Write `source`, an FP32 engine, with INT8 convolutions to `output` and return that path.

    `frames` (h, w, 3) uint8 BGR at the engine's size are run through it and set the range of every
    activation; but for the first few one is held at a time (`streamseg.compile.calibration_frames` samples
    them). With `mixed` only the backbone and the mask prototypes (SOLOv2, RTMDet-Ins: mask features) become
    INT8. `signed`: TensorRT's form.

    The file appears only when ONNX Runtime can run it and it still finds something in the first frames, if
    `source` does; how well the two agree is for `streamseg certify` to say. `streamseg.precision` in the
    metadata is `int8` or `mixed`, the rest is that
    of `source`. Raises EngineError and ExportError.
    """
    source, output = Path(source), Path(output)
    info = read_info(source)
    if not output.parent.is_dir():
        raise ExportError(f"{output}: cannot be written, there is no folder {output.parent}")
    model = float_model(source)
    nodes = _convolutions(model.graph, mixed)
    if not nodes or any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise ExportError(f"{source}: not an FP32 engine of streamseg; quantise the file that export wrote")
    reader = _Frames(frames, info, watcher)
    with tempfile.TemporaryDirectory(prefix=".streamseg-", dir=output.parent) as folder:
        result = _quantized(model, nodes, reader, Path(folder), signed)
        metadata = metadata_from_info(replace(info, precision="mixed" if mixed else "int8"))
        del result.metadata_props[:]
        helper.set_model_props(result, metadata)
        part = Path(folder) / "part.onnx"
        part.write_bytes(result.SerializeToString())
        _check(part, source, reader.first, output)
        replace_synced(part, output)
    return output


class _Frames(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no annotations
    """Frames as ONNX Runtime's calibration asks for them, one at a time."""

    def __init__(
        self, frames: Iterable[NDArray[np.uint8]], info: EngineInfo, watcher: Watcher | None
    ) -> None:
        self._frames: Iterator[NDArray[np.uint8]] = iter(frames)
        self._shape = (*info.input_hw, 3)
        self._watcher = watcher
        self.count = 0
        self.first: list[dict[str, NDArray[np.uint8]]] = []
        """The first few, as they were given."""

    def require_one(self) -> None:
        """Raise ExportError where there are no frames."""
        first = next(self._frames, None)
        if first is None:
            raise ExportError("calibration: no frames came; give a clip or a folder that has some")
        self._frames = chain([first], self._frames)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        frame = next(self._frames, None)
        if frame is None:
            return None
        if frame.dtype != np.uint8 or frame.shape != self._shape:
            raise ExportError(
                f"calibration frame {self.count}: {frame.dtype} {frame.shape}, expected uint8 {self._shape}"
            )
        self.count += 1
        if self._watcher is not None:
            self._watcher.say(f"calibration: frame {self.count}")
        feed = {INPUT_NAME: np.ascontiguousarray(frame)[None]}
        if self.count <= LOOKED_AT:
            self.first.append(feed)
        return feed


def float_model(path: Path) -> onnx.ModelProto:
    """The file with weights that it stores in half precision as float32: quantisers look for initialisers."""
    model = onnx.load(path)
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT16:
            kept.append(node)
            continue
        full = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(full, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    return model


def _convolutions(graph: onnx.GraphProto, mixed: bool) -> list[str]:
    """Names of the nodes to quantise."""
    stored = {tensor.name for tensor in graph.initializer}
    wanted = MIXED if mixed else (NETWORK, LATER_NETWORK)
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv"
        and node.input[1] in stored
        and node.input[1].startswith(wanted)
        and not any(part in node.input[1] for part in KEPT_FLOAT)
    ]


def _rectifiers(graph: onnx.GraphProto, convolutions: list[str]) -> list[str]:
    """Names of the ReLUs right behind `convolutions`.

    With them the quantiser takes the range behind the ReLU for the convolution's output and leaves the ReLU
    out. The range before it spends levels on what is cut off: with EfficientNet's ReLU6 all but useless.
    """
    outputs = {node.output[0] for node in graph.node if node.name in set(convolutions)}
    return [node.name for node in graph.node if node.op_type in RECTIFIERS and node.input[0] in outputs]


def _quantized(
    model: onnx.ModelProto, nodes: list[str], reader: _Frames, folder: Path, signed: bool
) -> onnx.ModelProto:
    reader.require_one()
    if ends_in_swishes(model.graph):
        return round_equalized(model, nodes, iter(reader.get_next, None), signed)
    helper.set_model_props(model, PREPARED)
    prepared, result = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(model), prepared)
    quantize_static(
        prepared,
        result,
        reader,
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        # By node alone the calibration would cover the tail, where −inf stands for "no rival".
        op_types_to_quantize=["Conv"] if signed else ["Conv", *RECTIFIERS],
        nodes_to_quantize=nodes if signed else nodes + _rectifiers(model.graph, nodes),
        extra_options={
            "ActivationSymmetric": signed,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv"] if signed else [],
        },
    )
    return onnx.load(result)


def _check(part: Path, source: Path, feeds: list[dict[str, NDArray[np.uint8]]], output: Path) -> None:
    """Raise ExportError unless ONNX Runtime runs the file as the engine it was, and it finds something."""
    try:
        found = _best_score(part, feeds)
    except Exception as error:  # ONNX Runtime's exceptions derive from Exception alone
        raise ExportError(f"{output}: ONNX Runtime cannot run the INT8 form ({error})") from error
    before = _best_score(source, feeds)
    if before >= ALIVE and found < before / 2:
        raise ExportError(
            f"{output}: finds nothing in INT8, its best score on {len(feeds)} calibration frames is "
            f"{found:.2f}, in FP32 {before:.2f}; not written, run {source} as it is"
        )


def _best_score(engine: Path, feeds: list[dict[str, NDArray[np.uint8]]]) -> float:
    session = onnxruntime.InferenceSession(engine, providers=["CPUExecutionProvider"])
    outputs: list[Any] = [session.run(list(OUTPUT_NAMES), feed) for feed in feeds]
    scores = OUTPUT_NAMES.index("scores")
    return max(float(output[scores].max(initial=0)) for output in outputs)
