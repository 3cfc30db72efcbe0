"""The weights in an engine file, to train on: the bundled engine is its own checkpoint.

Tested in tests/training/test_start.py.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper
from torch import Tensor, nn

from streamseg.errors import CheckpointError
from streamseg.models.network import Network

__all__ = ["read_engine_weights"]

HALF = "_half"
"""Ends the name of weights that are stored in half precision."""
FOLDED = "_bias"
"""Ends the name, after that of a kernel, of what is left of the normalisation behind it."""


def read_engine_weights(model: Network, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Weights by the names of `model`, float32, and the classes that `path` knows.

    In an engine normalisations are part of the convolutions before them: here they add what is left of them
    and do nothing else, so the network computes the same as long as it keeps its statistics. Raises
    CheckpointError for a file that is no engine, or one of another network.
    """
    try:
        proto = onnx.load(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except (DecodeError, ValueError) as error:
        raise CheckpointError(f"{path}: not an ONNX file") from error
    says = {entry.key: entry.value for entry in proto.metadata_props}
    name = says.get("streamseg.model")
    if name != model.config.name:
        raise CheckpointError(
            f"{path}: an engine of {name or 'no network of ours'}, not of {model.config.name}; "
            f"give weights of {model.config.name}, or the .pth that the engine was exported from"
        )
    stored = _stored(proto.graph)
    state = {key: value for key, value in stored.items() if key in model.state_dict()}
    for conv, norm, eps in _normalised(model):
        left = stored.get(f"{conv}.weight{FOLDED}")
        if left is not None:
            one = torch.ones_like(left)
            state |= {f"{norm}.bias": left, f"{norm}.weight": one, f"{norm}.running_mean": 0 * one}
            state[f"{norm}.running_var"] = one - eps
    return state, _classes(says, path)


def _stored(graph: onnx.GraphProto) -> dict[str, Tensor]:
    """Initialisers by our names, in float32; the matrices of linear layers, which have lost theirs, by those
    of the biases that are added to their products."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    matrix_of = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    stored = {_ours(name): _float32(tensor) for name, tensor in tensors.items()}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        for product, bias in (tuple(node.input), tuple(node.input)[::-1]):
            matrix: str = matrix_of.get(product, "")
            if bias.endswith(".bias") and bias in tensors and matrix in tensors:
                stored[_ours(bias).removesuffix("bias") + "weight"] = stored[_ours(matrix)].T.contiguous()
    return stored


def _ours(name: str) -> str:
    return name.removesuffix(HALF).removeprefix("model.").removeprefix("tail.")


def _float32(tensor: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))


def _normalised(model: nn.Module) -> list[tuple[str, str, float]]:
    """Convolutions without a bias, the normalisation behind each, and its ε."""
    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    return [
        (first, second, norm.eps)
        for (first, conv), (second, norm) in pairwise(leaves)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    ]


def _classes(says: dict[str, str], path: Path) -> list[str]:
    try:
        classes: Any = json.loads(says["streamseg.classes"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: does not say which classes it knows") from error
    return [str(name) for name in classes]
