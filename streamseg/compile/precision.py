"""An FP32 engine graph → the same graph with its network in FP16 or BF16 and everything else in FP32.

TensorRT 11 takes its types from the graph. What stays in FP32: the normalisation before the network; group,
instance and layer norms, whose sums leave FP16's range; the sampling of deformable convolutions, whose places
of up to a hundred cells FP16 knows to an eighth or a sixteenth; and the whole tail (boxes, NMS, masks).

Converters for this exist (ONNX Runtime's, onnxconverter-common's): they put a Cast to FP16 and one back
between every two FP32 nodes, which rounds the tail to 11 bits after every step, and they have no BF16.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from streamseg.engines.metadata import SCOPES
from streamseg.errors import ExportError

__all__ = ["LATER_NETWORK", "SAMPLING_SCOPE", "drop_unused_weights", "lowered", "network_nodes"]

NETWORK = "model"
"""The module of streamseg.models.engine_module that is the network."""
LATER_NETWORK = "tail.network."
"""Layers of a network that stand in its tail, as they need what the tail has found."""
KEPT_OPS = frozenset(
    ("InstanceNormalization", "GroupNormalization", "LayerNormalization", "DeformConv", "GridSample", "Cast")
)
SAMPLING_SCOPE = "deform_sampling"
"""Last scope of the nodes that stand for a deformable convolution, but for their convolution."""
KEPT_SCOPES = ("group_norm", "instance_norm", "layer_norm", SAMPLING_SCOPE)
"""Norms are several nodes each: the last scope has the name of torch's function."""
FLOAT_INPUTS = {"Resize": (1, 2)}
"""Inputs that ONNX has in FP32 only, whatever the others are."""
BF16_OPSET = 22
"""The first in which convolutions may be BF16."""
BF16_IR = 10


class _Type(NamedTuple):
    code: int
    suffix: str
    largest: float


TYPES = {
    "fp16": _Type(TensorProto.FLOAT16, "_fp16", float(np.finfo(np.float16).max)),
    "bf16": _Type(TensorProto.BFLOAT16, "_bf16", float(np.finfo(np.float32).max)),
}


def lowered(model: onnx.ModelProto, to: Literal["fp16", "bf16"], path: str) -> onnx.ModelProto:
    """A copy of `model`, an engine in FP32 (with Q/DQ or without), with its network in `to`.

    Inputs, outputs and metadata stay as they are. `path` is for the message: raises ExportError where the
    network cannot be told from the rest, or has weights beyond the type's range.
    """
    if to == "bf16":
        model = _with_opset(model, BF16_OPSET)
    model = onnx.shape_inference.infer_shapes(model)
    _Lowering(model.graph, TYPES[to], path).run()
    # The types above were those of before.
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def _with_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """In a newer opset, with the metadata that ONNX's converter drops."""
    if any(entry.domain == "" and entry.version >= opset for entry in model.opset_import):
        return model
    converted = onnx.version_converter.convert_version(model, opset)
    converted.ir_version = max(model.ir_version, BF16_IR)
    scopes = {node.output[0]: node.metadata_props for node in model.graph.node}
    for node in converted.graph.node:
        node.metadata_props.extend(scopes.get(node.output[0], ()))
    del converted.metadata_props[:]
    converted.metadata_props.extend(model.metadata_props)
    return converted


def network_nodes(graph: onnx.GraphProto, path: str) -> list[bool]:
    """For every node whether it belongs to the network, not to what is before or behind it.

    Nodes that a tool added have no scope: they belong to where their inputs come from; DequantizeLinear, and
    what has weights alone for inputs, to where it leads. Raises ExportError where no node has a scope.
    """
    scopes = [_scopes(node) for node in graph.node]
    if not any(scope[1:2] == [NETWORK] for scope in scopes):
        raise ExportError(
            f"{path}: cannot tell its network from what follows it; export it again: streamseg export"
        )
    inside: dict[str, bool] = {}
    belongs: list[bool | None] = []
    for node, scope in zip(graph.node, scopes, strict=True):
        before = [inside[name] for name in node.input if name in inside]
        verdict: bool | None = None
        if len(scope) > 1:
            verdict = scope[1] == NETWORK or scope[-2].startswith(LATER_NETWORK)
        elif before and node.op_type != "DequantizeLinear":
            verdict = any(before)
        belongs.append(verdict)
        if verdict is not None:
            inside |= dict.fromkeys(node.output, verdict)
    wanted = {
        name for node, verdict in zip(graph.node, belongs, strict=True) if verdict for name in node.input
    }
    return [
        any(name in wanted for name in node.output) if verdict is None else verdict
        for node, verdict in zip(graph.node, belongs, strict=True)
    ]


def _scopes(node: onnx.NodeProto) -> list[str]:
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            names = ast.literal_eval(entry.value)
            return [str(name) for name in names]
    return []


def _kept(node: onnx.NodeProto) -> bool:
    return node.op_type in KEPT_OPS or (_scopes(node) or [""])[-1].startswith(KEPT_SCOPES)


class _Lowering:
    """One pass over the nodes in order, with a Cast wherever the type changes; one for each tensor."""

    def __init__(self, graph: onnx.GraphProto, low: _Type, path: str) -> None:
        self._graph, self._low, self._path = graph, low, path
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._floats = _float_names(graph)
        self._lowered: set[str] = set()
        self._other: dict[str, str] = {}
        """Name of a tensor → name of its copy in the other type."""
        self._nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        members = network_nodes(self._graph, self._path)
        for node, member in zip(self._graph.node, members, strict=True):
            self._visit(node, low=member and not _kept(node))
        for output in self._graph.output:
            if output.name in self._lowered:
                raise ExportError(f"{self._path}: output {output.name} comes straight from the network")
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        drop_unused_weights(self._graph)

    def _visit(self, node: onnx.NodeProto, *, low: bool) -> None:
        for i, name in enumerate(node.input):
            if name not in self._floats or node.op_type == "Shape":
                continue
            wants_low = low and i not in FLOAT_INPUTS.get(node.op_type, ())
            if wants_low != (name in self._lowered):
                node.input[i] = self._converted(name, wants_low)
        self._nodes.append(node)
        if low:
            self._lowered.update(name for name in node.output if name in self._floats)

    def _converted(self, name: str, to_low: bool) -> str:
        if name not in self._other:
            suffix = self._low.suffix if to_low else "_fp32"
            self._other[name] = name + suffix
            if name in self._weights:
                self._graph.initializer.append(self._low_weights(self._weights[name]))
            else:
                code = self._low.code if to_low else TensorProto.FLOAT
                cast = helper.make_node("Cast", [name], [name + suffix], name=f"cast_{name}{suffix}", to=code)
                self._nodes.append(cast)
        return self._other[name]

    def _low_weights(self, tensor: onnx.TensorProto) -> onnx.TensorProto:
        values = numpy_helper.to_array(tensor)
        if not np.all(np.abs(values) <= self._low.largest):
            raise ExportError(
                f"{self._path}: {tensor.name} has weights beyond FP16's range; use bf16 or fp32"
            )
        name, low = tensor.name + self._low.suffix, values.astype(_dtype(self._low))
        return helper.make_tensor(name, self._low.code, values.shape, low.tobytes(), raw=True)


def drop_unused_weights(graph: onnx.GraphProto) -> None:
    """Remove the weights that no node takes any more."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _dtype(low: _Type) -> np.dtype[np.generic]:
    return np.dtype(helper.tensor_dtype_to_np_dtype(low.code))


def _float_names(graph: onnx.GraphProto) -> set[str]:
    infos: Iterable[onnx.ValueInfoProto] = (*graph.input, *graph.value_info, *graph.output)
    named = {info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT}
    return named | {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
