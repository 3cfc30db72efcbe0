"""Nodes that take the place of one that a product has not.

Tested in tests/compile/test_roi_sampling.py.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

import onnx
from onnx import helper

from streamseg.compile.precision import SAMPLING_SCOPE
from streamseg.engines.metadata import SCOPES

__all__ = ["Part", "chained", "in_sampling_scope", "replace_nodes"]

Part = tuple[str, list[str], dict[str, Any]]
"""Operator, inputs, attributes."""


def replace_nodes(
    graph: onnx.GraphProto, operator: str, replacement: Callable[[onnx.NodeProto], list[onnx.NodeProto]]
) -> None:
    """Put in place of every node of `operator` what `replacement` makes of it."""
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes += replacement(node) if node.op_type == operator else [node]
    del graph.node[:]
    graph.node.extend(nodes)


def chained(parts: Sequence[Part], name: str) -> list[onnx.NodeProto]:
    """Nodes of which each takes the one before as its input `<`; the last one gives `name`."""
    nodes: list[onnx.NodeProto] = []
    for i, (kind, inputs, attributes) in enumerate(parts):
        inputs = [nodes[-1].output[0] if text == "<" else text for text in inputs]
        output = name if i == len(parts) - 1 else f"{name}/{i}"
        nodes.append(helper.make_node(kind, inputs, [output], name=f"{name}/{kind}_{i}", **attributes))
    return nodes


def in_sampling_scope(nodes: Sequence[onnx.NodeProto], original: onnx.NodeProto) -> Sequence[onnx.NodeProto]:
    """`nodes`, in a scope of their own within the original's: where to sample needs FP32."""
    scope = next((entry.value for entry in original.metadata_props if entry.key == SCOPES), "['', 'model']")
    for node in nodes:
        inner = str([*ast.literal_eval(scope), SAMPLING_SCOPE])
        node.metadata_props.add(key=SCOPES, value=inner)
    return nodes
