"""RoiAlign → GridSample and an average, for TensorRT-RTX, which has no RoiAlign.

He et al., "Mask R-CNN" (2017), section 3: a bin is the mean of samples at fixed places in it. With as many
samples in every bin, all of a box lie on one even grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from streamseg.compile.node_chain import Part, chained, in_sampling_scope, replace_nodes
from streamseg.errors import ExportError

__all__ = ["with_sampled_rois"]

ADAPTIVE_SAMPLES = 2
"""Along a side of a bin where the original takes as many as the bin has cells, a number that depends on the
box: what detection networks with a fixed number take."""


def with_sampled_rois(model: onnx.ModelProto, path: str) -> onnx.ModelProto:
    """A copy of `model` in which GridSample does the work of every RoiAlign.

    The boxes are those of the batch's pictures in their order, as many for each. Raises ExportError, naming
    `path`, for maps without fixed size and for the greatest instead of the mean.
    """
    model = onnx.shape_inference.infer_shapes(model)
    replace_nodes(model.graph, "RoiAlign", _Rewriting(model.graph, path).replacement)
    return model


class _Rewriting:
    def __init__(self, graph: onnx.GraphProto, path: str) -> None:
        self._graph, self._path = graph, path
        self._shapes = {info.name: info.type.tensor_type.shape.dim for info in graph.value_info}

    def replacement(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        x, rois, _ = node.input
        name = node.output[0]
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        channels, height, width = self._sides(x, given)
        bins = int(given["output_width"])
        samples = int(given.get("sampling_ratio", 0)) or ADAPTIVE_SAMPLES
        side = bins * samples
        scale = float(given.get("spatial_scale", 1.0))
        aligned = given.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel"
        # A cell's centre p is at 2p / (size − 1) − 1 for GridSample with align_corners.
        unit = 2 / np.array([width - 1, height - 1], np.float32)
        places = ((np.arange(side, dtype=np.float32) + 0.5) / side).reshape(1, side, 1)
        extent: list[Part] = [
            ("Sub", [f"{name}/high", f"{name}/low"], {}),
            ("Mul", ["<", self._store(name, "scale", np.float32(scale))], {}),
            ("Max", ["<", self._store(name, "least", np.float32(0 if aligned else 1))], {}),
            ("Mul", ["<", self._store(name, "unit", unit)], {}),
            ("Unsqueeze", ["<", self._store(name, "axis1", np.array([1], np.int64))], {}),
            ("Mul", ["<", self._store(name, "places", places)], {}),
        ]
        shift = (unit * (0.5 if aligned else 0.0) + 1).astype(np.float32)
        start: list[Part] = [
            ("Mul", [f"{name}/low", self._store(name, "units", unit * np.float32(scale))], {}),
            ("Sub", ["<", self._store(name, "shift", shift)], {}),
            ("Unsqueeze", ["<", f"{name}/axis1"], {}),
        ]
        nodes = [
            self._cut(name, "low", rois, 0),
            self._cut(name, "high", rois, 2),
            *chained(extent, f"{name}/extent"),
            *chained(start, f"{name}/start"),
            helper.make_node("Add", [f"{name}/start", f"{name}/extent"], [f"{name}/line"]),
            *self._axis(name, "across", 1, [1, 0]),
            *self._axis(name, "down", 2, [0, 1]),
            *self._batch(name, x, side),
        ]
        sampled: list[Part] = [
            ("Add", [f"{name}/across", f"{name}/down"], {}),
            ("Reshape", ["<", f"{name}/grid_shape"], {}),
            ("GridSample", [x, "<"], {"mode": "linear", "padding_mode": "border", "align_corners": 1}),
            ("AveragePool", ["<"], {"kernel_shape": [samples] * 2, "strides": [samples] * 2}),
            ("Reshape", ["<", self._store(name, "rows", np.array([0, channels, -1, bins, bins]))], {}),
            ("Transpose", ["<"], {"perm": [0, 2, 1, 3, 4]}),
            ("Reshape", ["<", self._store(name, "shape", np.array([-1, channels, bins, bins]))], {}),
        ]
        return list(in_sampling_scope([*nodes, *chained(sampled, name)], node))

    def _sides(self, x: str, given: dict[str, Any]) -> tuple[int, int, int]:
        sides = [int(side.dim_value) for side in self._shapes.get(x, ())][1:]
        if len(sides) != 3 or 0 in sides or given.get("mode", b"avg") != b"avg":
            raise ExportError(f"{self._path}: {x}: a RoiAlign that TensorRT-RTX cannot have; use TensorRT")
        return sides[0], sides[1], sides[2]

    def _cut(self, name: str, what: str, rois: str, first: int) -> onnx.NodeProto:
        """Columns `first` and the next: x and y of a corner."""
        ends = [
            self._store(name, f"{what}_{i}", np.array([n], np.int64)) for i, n in ((0, first), (1, first + 2))
        ]
        axis = self._store(name, f"{what}_axis", np.array([1], np.int64))
        return helper.make_node("Slice", [rois, *ends, axis], [f"{name}/{what}"])

    def _axis(self, name: str, what: str, axis: int, picked: list[int]) -> list[onnx.NodeProto]:
        """Of (R, side, 2) x, or y, along an axis of (R, side, side, 2)."""
        parts: list[Part] = [
            ("Unsqueeze", [f"{name}/line", self._store(name, f"{what}_at", np.array([axis], np.int64))], {}),
            ("Mul", ["<", self._store(name, f"{what}_picked", np.array(picked, np.float32))], {}),
        ]
        return chained(parts, f"{name}/{what}")

    def _batch(self, name: str, x: str, side: int) -> list[onnx.NodeProto]:
        """The grid's shape: one, of all boxes, for every picture."""
        rest = self._store(name, "grid_rest", np.array([-1, side, 2], np.int64))
        return [
            helper.make_node("Shape", [x], [f"{name}/batch"], start=0, end=1),
            helper.make_node("Concat", [f"{name}/batch", rest], [f"{name}/grid_shape"], axis=0),
        ]

    def _store(self, name: str, what: str, values: NDArray[Any] | np.float32) -> str:
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(values), f"{name}/{what}"))
        return f"{name}/{what}"
