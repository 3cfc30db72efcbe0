"""Faults planted into an engine file, by editing its graph: what `streamseg certify` must notice, and what
it must not.

`FAULTS` and `HARMLESS` are names → edits; `planted` writes the edited file. Edits work on any engine of the
contract whose batch size is free.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["FAULTS", "HARMLESS", "Graph", "planted", "swapped_classes"]

TO_THE_END = np.iinfo(np.int64).max
LEAST_RUN_SCORE = 0.1
"""What a run at the default score shows its tracker; from here to 0.3 is the tracker's second stage."""


class Graph:
    """An ONNX model whose input and outputs can be passed through further nodes."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        self.graph = self.model.graph
        self._made = 0

    def save(self, path: Path) -> Path:
        onnx.save(self.model, path)
        return path

    def initializers(self) -> list[Any]:
        """The weights: floating-point tensors of at least two dimensions."""
        kinds = (TensorProto.FLOAT, TensorProto.FLOAT16)
        return [t for t in self.graph.initializer if t.data_type in kinds and len(t.dims) >= 2]

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = self._name("constant")
        self.graph.initializer.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The name of the new node's output."""
        name = self._name(op)
        self.graph.node.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def output(self, name: str, change: Callable[[Graph, str], str]) -> None:
        """Put `change` between what made an output and the output."""
        raw = self._name(f"{name}_raw")
        for node in self.graph.node:
            for names in (node.input, node.output):
                for k, tensor in enumerate(names):
                    if tensor == name:
                        names[k] = raw
        made = change(self, raw)
        self.graph.node.append(helper.make_node("Identity", [made], [name]))

    def input(self, change: Callable[[Graph, str], str]) -> None:
        """Put `change`, from uint8 to uint8 or float, between the frames and the network."""
        users = [node for node in self.graph.node if "frames" in node.input]
        body = list(self.graph.node)
        del self.graph.node[:]
        made = change(self, "frames")
        for node in users:
            for k, tensor in enumerate(node.input):
                if tensor == "frames":
                    node.input[k] = made
        self.graph.node.extend(body)

    def _name(self, what: str) -> str:
        self._made += 1
        return f"planted_{self._made}_{what}"


Edit = Callable[[Graph], None]


def planted(engine: Path, edit: Edit, out: Path) -> Path:
    """Write `engine` with an edit to `out`."""
    graph = Graph(engine)
    edit(graph)
    return graph.save(out)


# -- the picture and the weights ---------------------------------------------------------------------


def _channels_swapped(g: Graph) -> None:
    g.input(lambda g, x: g.node("Gather", x, g.constant([2, 1, 0], np.int64), axis=3))


def _brighter(levels: float) -> Edit:
    def edit(g: Graph) -> None:
        def shifted(g: Graph, x: str) -> str:
            return g.node("Add", g.node("Cast", x, to=TensorProto.FLOAT), g.constant(levels))

        g.input(shifted)

    return edit


def _weights(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Edit:
    def edit(g: Graph) -> None:
        rng = np.random.default_rng(0)
        for tensor in g.initializers():
            old = numpy_helper.to_array(tensor)
            if not np.isfinite(old).all():
                continue  # a table of the tail, no weights
            new = change(old.astype(np.float32), rng).astype(old.dtype)
            tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))

    return edit


def _noise(w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return w * (1 + 0.1 * rng.uniform(-1, 1, w.shape))


def _four_bits(w: np.ndarray, _: np.random.Generator) -> np.ndarray:
    step = float(np.abs(w).max(initial=1e-9)) / 7
    return np.asarray(np.round(w / step) * step)


def _half(w: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return w.astype(np.float16)


def _renamed(g: Graph) -> None:
    for k, node in enumerate(g.graph.node):
        node.name = f"node_{k}"


# -- boxes, (B, K, 4) relative -------------------------------------------------------------------------


def _boxes(matrix: Sequence[Sequence[float]], offset: Sequence[float] = (0, 0, 0, 0)) -> Edit:
    """Boxes as row vectors times `matrix` (4, 4) plus `offset` (4,)."""

    def edit(g: Graph) -> None:
        def changed(g: Graph, x: str) -> str:
            return g.node("Add", g.node("MatMul", x, g.constant(matrix)), g.constant(offset))

        g.output("boxes", changed)

    return edit


def _about_own_centre(factor: float) -> Edit:
    near, far = (1 + factor) / 2, (1 - factor) / 2
    return _boxes([[near, 0, far, 0], [0, near, 0, far], [far, 0, near, 0], [0, far, 0, near]])


def _about_frame_centre(factor: float) -> Edit:
    return _boxes((np.eye(4) * factor).tolist(), [0.5 - 0.5 * factor] * 4)


SAME = np.eye(4).tolist()
NOTHING = np.zeros((4, 4)).tolist()
XY_SWAPPED = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]

# -- scores, classes, count ------------------------------------------------------------------------------


def _scores(change: Callable[[Graph, str], str]) -> Edit:
    return lambda g: g.output("scores", change)


def _times(factor: float) -> Edit:
    return _scores(lambda g, x: g.node("Mul", x, g.constant(factor)))


def _compressed(g: Graph, x: str) -> str:
    """0…1 → 0.15…0.85, entries that are none stay 0."""
    moved = g.node("Add", g.node("Mul", x, g.constant(0.7)), g.constant(0.15))
    return g.node("Where", g.node("Greater", x, g.constant(0)), moved, x)


def _as_nan(g: Graph, x: str) -> str:
    return g.node("Mul", x, g.constant(np.nan))


def _none_between(low: float, high: float) -> Edit:
    def dropped(g: Graph, x: str) -> str:
        inside = g.node("And", g.node("Greater", x, g.constant(low)), g.node("Less", x, g.constant(high)))
        return g.node("Where", inside, g.constant(0), x)

    return _scores(dropped)


def _without_class(class_id: int) -> Edit:
    def edit(g: Graph) -> None:
        g.output("classes", lambda g, x: g.node("Identity", x))
        classes = g.graph.node[-1].input[0]

        def dropped(g: Graph, x: str) -> str:
            its = g.node("Equal", classes, g.constant(class_id, np.int32))
            return g.node("Where", its, g.constant(0), x)

        g.output("scores", dropped)

    return edit


def swapped_classes(table: Sequence[int]) -> Edit:
    """Class k becomes `table[k]`."""

    def looked_up(g: Graph, x: str) -> str:
        return g.node("Gather", g.constant(list(table), np.int32), x, axis=0)

    return lambda g: g.output("classes", looked_up)


def _classes_rotated(g: Graph) -> None:
    metadata = {entry.key: entry.value for entry in g.model.metadata_props}
    count = len(json.loads(metadata["streamseg.classes"]))
    swapped_classes([*range(1, count), 0])(g)


def _counted(change: Callable[[Graph, str], str]) -> Edit:
    return lambda g: g.output("count", change)


def _half_of(g: Graph, x: str) -> str:
    return g.node("Div", x, g.constant(2, np.int32))


def _at_most(most: int) -> Edit:
    return _counted(lambda g, x: g.node("Min", x, g.constant(most, np.int32)))


def _always(count: int) -> Edit:
    return _counted(
        lambda g, x: g.node("Add", g.node("Mul", x, g.constant(0, np.int32)), g.constant(count, np.int32))
    )


def _duplicated(g: Graph) -> None:
    """Each row twice, the second half of the list lost."""
    rows = np.repeat(np.arange(50), 2)
    for name in ("boxes", "scores", "classes", "masks"):
        g.output(name, lambda g, x: g.node("Gather", x, g.constant(rows, np.int64), axis=1))
    g.output("count", lambda g, x: g.node("Min", g.node("Add", x, x), g.constant(100, np.int32)))


# -- masks, (B, K, mh, mw) uint8 ------------------------------------------------------------------------


def _masks(change: Callable[[Graph, str], str]) -> Edit:
    def as_float(g: Graph, x: str) -> str:
        return g.node("Cast", change(g, g.node("Cast", x, to=TensorProto.FLOAT)), to=TensorProto.UINT8)

    return lambda g: g.output("masks", as_float)


def _shifted(cells: int) -> Edit:
    def moved(g: Graph, x: str) -> str:
        padded = g.node("Pad", x, g.constant([0, 0, 0, cells, 0, 0, 0, -cells], np.int64))
        return padded

    return _masks(moved)


def _grown(g: Graph, x: str) -> str:
    return g.node("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])


def _shrunk(g: Graph, x: str) -> str:
    return g.node("Neg", _grown(g, g.node("Neg", x)))


def _coarser(g: Graph, x: str) -> str:
    small = g.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    scales = g.constant([1, 1, 2, 2])
    return g.node("Resize", small, "", scales, mode="nearest")


def _fainter(g: Graph, x: str) -> str:
    return g.node("Max", g.node("Sub", x, g.constant(64)), g.constant(0))


# -- all of it ----------------------------------------------------------------------------------------------


def _batch_mixed(g: Graph) -> None:
    """Row k of a batch holds the results of another frame; a batch of one is right."""

    def reversed_rows(g: Graph, x: str) -> str:
        ends = [g.constant([v], np.int64) for v in (-1, -TO_THE_END, 0, -1)]
        return g.node("Slice", x, *ends)

    for name in ("boxes", "scores", "classes", "masks", "count"):
        g.output(name, reversed_rows)


FAULTS: dict[str, Edit] = {
    "red and blue exchanged": _channels_swapped,
    "mean off by 10": _brighter(10),
    "weights ± 10 %": _weights(_noise),
    "weights of 4 bits": _weights(_four_bits),
    "class ids rotated": _classes_rotated,
    "masks 2 cells to the right": _shifted(2),
    "masks a cell larger": _masks(_grown),
    "masks a cell smaller": _masks(_shrunk),
    "masks of half the resolution": _masks(_coarser),
    "masks − 64": _masks(_fainter),
    "boxes × 1.05": _boxes((np.eye(4) * 1.05).tolist()),
    "boxes 1.1 times as large": _about_own_centre(1.1),
    "boxes × 1.3 about the frame's centre": _about_frame_centre(1.3),
    "boxes 2 % of the frame to the right": _boxes(SAME, [0.02, 0, 0.02, 0]),
    "every box the whole frame": _boxes(NOTHING, [0, 0, 1, 1]),
    "x and y of boxes exchanged": _boxes(XY_SWAPPED),
    "scores × 0.7": _times(0.7),
    "scores drawn to the middle": _scores(_compressed),
    "scores NaN": _scores(_as_nan),
    "none between 0.1 and 0.3": _none_between(LEAST_RUN_SCORE, 0.3),
    "half of the list": _counted(_half_of),
    "only the best": _at_most(1),
    "always three": _always(3),
    "each twice": _duplicated,
    "rows of a batch exchanged": _batch_mixed,
}
"""What must not pass, on footage in which it shows."""

HARMLESS: dict[str, Edit] = {
    "nodes renamed": _renamed,
    "weights rounded to FP16": _weights(_half),
    "boxes half a pixel to the right": _boxes(SAME, [0.5 / 448, 0, 0.5 / 448, 0]),
    "brighter by half a level": _brighter(0.5),
    "scores × 0.99": _times(0.99),
}
"""What must pass."""
