"""DeformConv → GridSample, a product and a 1×1 convolution, for TensorRT-RTX, which has no DeformConv.

Zhu et al., "Deformable ConvNets v2" (2018), equation 1: every tap of the kernel samples at its own place, the
samples are weighted, and what is left is a plain convolution over channels × taps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from streamseg.compile.node_chain import Part, chained, in_sampling_scope, replace_nodes
from streamseg.compile.precision import drop_unused_weights
from streamseg.errors import ExportError

__all__ = ["with_sampled_deform_conv"]


def with_sampled_deform_conv(model: onnx.ModelProto, path: str) -> onnx.ModelProto:
    """A copy of `model` in which GridSample does the work of every DeformConv.

    Raises ExportError, naming `path`, for forms that torchvision.ops.deform_conv2d does not export: several
    groups, no factors, a picture without fixed size.
    """
    model = onnx.shape_inference.infer_shapes(model)
    replace_nodes(model.graph, "DeformConv", _Rewriting(model.graph, path).replacement)
    drop_unused_weights(model.graph)
    return model


class _Rewriting:
    def __init__(self, graph: onnx.GraphProto, path: str) -> None:
        self._graph, self._path = graph, path
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._shapes = {info.name: _sides(info) for info in graph.value_info}

    def replacement(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        x, weights, offset, bias, factors = self._inputs(node)
        name = node.output[0]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        (height, width), (out_h, out_w) = self._side_lengths(x), self._side_lengths(offset)
        kernel = numpy_helper.to_array(self._stored[weights])
        channels, taps = kernel.shape[1], kernel.shape[2] * kernel.shape[3]
        # A pixel's centre p is at (2p + 1) / size − 1 for GridSample.
        scale = 2 / np.array([width, height], np.float32)
        base = (_taps(kernel.shape[2:], (out_h, out_w), attributes) * 2 + 1) / (width, height) - 1
        flat = kernel.reshape(len(kernel), channels * taps, 1, 1)
        parts: list[Part] = [
            ("Reshape", [offset, self._shape(name, "pairs", 0, taps, 2, out_h, out_w)], {}),
            ("Transpose", ["<"], {"perm": [0, 1, 3, 4, 2]}),
            ("Gather", ["<", self._store(name, "xy", np.array([1, 0], np.int64))], {"axis": 4}),
            ("Mul", ["<", self._store(name, "scale", scale)], {}),
            ("Add", ["<", self._store(name, "base", base.astype(np.float32))], {}),
            ("Reshape", ["<", self._shape(name, "grid", 0, taps * out_h, out_w, 2)], {}),
            ("GridSample", [x, "<"], {"mode": "linear", "padding_mode": "zeros", "align_corners": 0}),
            ("Reshape", ["<", self._shape(name, "taps", 0, channels, taps, out_h * out_w)], {}),
            ("Mul", ["<", f"{name}/weighing"], {}),
            ("Reshape", ["<", self._shape(name, "columns", 0, channels * taps, out_h, out_w)], {}),
            ("Conv", ["<", self._store(name, "kernel", flat), *bias], {"kernel_shape": [1, 1]}),
        ]
        weighing = helper.make_node(
            "Reshape",
            [factors, self._shape(name, "factors", 0, 1, taps, out_h * out_w)],
            [f"{name}/weighing"],
            name=f"{name}/weighing",
        )
        # All but the convolution, whose type is the network's.
        *sampling, convolution = chained(parts, name)
        return [*in_sampling_scope([weighing, *sampling], node), convolution]

    def _inputs(self, node: onnx.NodeProto) -> tuple[str, str, str, list[str], str]:
        groups = [a.i for a in node.attribute if a.name in ("group", "offset_group")]
        inputs = list(node.input)
        if len(inputs) != 5 or inputs[1] not in self._stored or set(groups) - {1}:
            raise self._refusal(node.name)
        x, weights, offset, bias, factors = inputs
        return x, weights, offset, [bias] if bias else [], factors

    def _side_lengths(self, name: str) -> tuple[int, int]:
        height, width = self._shapes.get(name, (0, 0))
        if not height or not width:
            raise self._refusal(name)
        return height, width

    def _refusal(self, name: str) -> ExportError:
        return ExportError(f"{self._path}: {name}: a DeformConv that TensorRT-RTX cannot have; use TensorRT")

    def _store(self, name: str, what: str, values: NDArray[Any]) -> str:
        self._graph.initializer.append(numpy_helper.from_array(values, f"{name}/{what}"))
        return f"{name}/{what}"

    def _shape(self, name: str, what: str, *sides: int) -> str:
        return self._store(name, f"{what}_shape", np.array(sides, np.int64))


def _taps(
    kernel_hw: tuple[int, ...], out_hw: tuple[int, int], attributes: dict[str, Any]
) -> NDArray[np.float64]:
    """(1, taps, out_h, out_w, 2) where each tap of each place is without its offset, x and y in pixels."""
    strides, pads = attributes.get("strides", [1, 1]), attributes.get("pads", [0, 0, 0, 0])
    dilations = attributes.get("dilations", [1, 1])
    y, x = (
        np.arange(kernel_hw[axis])[:, None] * dilations[axis]
        + np.arange(out_hw[axis]) * strides[axis]
        - pads[axis]
        for axis in (0, 1)
    )
    grid = np.zeros((*kernel_hw, *out_hw, 2))
    grid[..., 0] = x[None, :, None, :]
    grid[..., 1] = y[:, None, :, None]
    return grid.reshape(1, -1, *out_hw, 2)


def _sides(info: onnx.ValueInfoProto) -> tuple[int, int]:
    """Height and width; 0 where they are not fixed."""
    sides = [int(side.dim_value) for side in info.type.tensor_type.shape.dim]
    return (sides[2], sides[3]) if len(sides) == 4 else (0, 0)
