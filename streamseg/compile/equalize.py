"""Q/DQ for convolutions whose input channels differ by orders of magnitude, as behind hard swishes.

Behind ReLUs one range for all channels of a map does. In the second block of LCNet as PicoDet has it the
largest value of one channel is 718 and that of another 0.15: with one range of 256 levels most channels are
rounded to nothing. Folding the ratio into the convolution before (cross-layer equalisation, Nagel et al.
2019) needs f(s·x) = s·f(x), which a swish has not. So every map is multiplied by a factor for each channel
right before it is rounded, and the weights that read it by the inverse (SmoothQuant, Xiao et al. 2023).
What a convolution gives is not rounded: the range before a swish is wider than the one behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Range", "ends_in_swishes", "round_equalized"]

Array = NDArray[np.float32]
Feeds = Iterator[dict[str, NDArray[np.uint8]]]

SWISH = "HardSwish"
TO_ACTIVATIONS = 0.7
"""How much of the difference between channels moves from a map into the weights that mix them. Mask AP of
`compact`: 28.0 with 0.5, 28.3 with 0.6, 28.8 with 0.7. A depthwise kernel has its own scale for each, and
takes it all."""
LEAST_RANGE = 0.3
"""Of the median of a map's channels, what each is given at least. One that the footage never lit has no range
of its own, and without this a single later value would stretch that of all."""
EARLY = ("model.backbone.stem.", "model.backbone.stages.0.", "model.backbone.stages.1.")
"""LCNet down to stride 4: a fifteenth of the arithmetic, and where most of the noise of eight bits came from.
With these in float that of the prototypes is 22.6 instead of 18.0 dB below them: outlines stay where they
were."""
ALIGNMENT = ".align."
"""PicoDet's judge of boxes: one number a place, which every score is multiplied by."""
EVEN = 1.5
"""Channels whose factors differ by less are left as they are."""


class Range(NamedTuple):
    """Of a map over all frames, channel by channel, (C,) each."""

    low: Array
    high: Array

    @property
    def size(self) -> Array:
        """The largest magnitude, as it is allowed for."""
        size = np.maximum(-self.low, self.high)
        return np.asarray(np.maximum(size, LEAST_RANGE * np.median(size) + 1e-6), np.float32)


def ends_in_swishes(graph: onnx.GraphProto) -> bool:
    """Whether this form is the one for the network."""
    return any(node.op_type == SWISH for node in graph.node)


def round_equalized(
    model: onnx.ModelProto, convolutions: list[str], feeds: Feeds, signed: bool
) -> onnx.ModelProto:
    """`model`, with the nodes named `convolutions` in INT8 by Q/DQ; it is changed.

    `feeds` are run through it and set the ranges, the smallest and the largest value. `signed`: symmetric
    signed activations, TensorRT's form. `EARLY` and `ALIGNMENT` stay in float, and so do convolutions of one
    value a channel (squeeze and excitation): these cost nothing, and in eight bits the weights of channels
    that come of them are wrong.
    """
    graph = model.graph
    chosen = set(convolutions)
    wanted = {
        node.name: node
        for node in graph.node
        if node.name in chosen and not node.input[1].startswith(EARLY) and ALIGNMENT not in node.input[1]
    }
    ranges = _ranges(model, sorted({node.input[0] for node in wanted.values()}), feeds)
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name in wanted and node.input[0] in ranges:
            rounding = _Rounding(node, stored[node.input[1]], ranges[node.input[0]], signed)
            nodes += rounding.nodes
            graph.initializer.extend(rounding.constants)
            graph.initializer.remove(stored[node.input[1]])
            node.input[0], node.input[1] = rounding.outputs
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _ranges(model: onnx.ModelProto, maps: list[str], feeds: Feeds) -> Mapping[str, Range]:
    """Of those of `maps` that are more than one value a channel."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in maps]
    del watched.graph.output[:]
    watched.graph.output.extend(outputs)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    found: dict[str, Range] = {}
    for feed in feeds:
        values: list[Any] = session.run(maps, feed)
        for name, value in zip(maps, values, strict=True):
            if value.shape[2:] == (1, 1):
                continue
            low, high = value.min((0, 2, 3)), value.max((0, 2, 3))
            before = found.get(name, Range(low, high))
            found[name] = Range(np.minimum(before.low, low), np.maximum(before.high, high))
    return found


class _Rounding:
    """What makes one convolution INT8: nodes before it and their constants."""

    def __init__(self, node: onnx.NodeProto, kernel: onnx.TensorProto, seen: Range, signed: bool) -> None:
        self._name = node.name
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        weights = numpy_helper.to_array(kernel)
        factors = _factors(weights, seen.size)
        depthwise = weights.shape[1] == 1
        weights = weights * factors.reshape((-1, 1, 1, 1) if depthwise else (1, -1, 1, 1))
        scaled = self._multiplied(node.input[0], factors)
        self.outputs = self._rounded_map(scaled, seen, factors, signed), self._rounded_kernel(weights)

    def _multiplied(self, x: str, factors: Array) -> str:
        if np.all(factors == 1):
            return x
        return self._node("Mul", [x, self._constant("factors", (1 / factors).reshape(1, -1, 1, 1))])

    def _rounded_map(self, x: str, seen: Range, factors: Array, signed: bool) -> str:
        low, high = min(float((seen.low / factors).min()), 0.0), max(float((seen.high / factors).max()), 0.0)
        scale = max(max(-low, high) / 127 if signed else (high - low) / 255, 1e-8)
        zero: Any = np.int8(0) if signed else np.uint8(round(-low / scale))
        by = [self._constant("scale", np.float32(scale)), self._constant("zero", zero)]
        return self._node("DequantizeLinear", [self._node("QuantizeLinear", [x, *by]), *by])

    def _rounded_kernel(self, weights: Array) -> str:
        scales = np.maximum(np.abs(weights).max((1, 2, 3)), 1e-12) / 127
        rounded = np.rint(weights / scales.reshape(-1, 1, 1, 1)).astype(np.int8)
        of_kernel = [
            self._constant("weight_quantized", rounded),
            self._constant("weight_scale", scales.astype(np.float32)),
            self._constant("weight_zero", np.zeros(len(scales), np.int8)),
        ]
        return self._node("DequantizeLinear", of_kernel, axis=0)

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{self._name}_{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: Any) -> str:
        name = f"{self._name}_{name}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _factors(weights: Array, sizes: Array) -> Array:
    """(C,) what the channels of a map are divided by, and the weights that read them multiplied by."""
    if weights.shape[1] == 1:
        factors = sizes / sizes.max()
    else:
        reading = np.maximum(np.abs(weights).max((0, 2, 3)), 1e-8)
        factors = sizes**TO_ACTIVATIONS / reading ** (1 - TO_ACTIVATIONS)
        factors = factors / np.exp(np.log(factors).mean())
    if factors.max() < EVEN * factors.min():
        return np.ones_like(factors)
    return np.asarray(factors, np.float32)
