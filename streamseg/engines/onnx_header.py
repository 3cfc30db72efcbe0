"""What an ONNX file says of itself, read off its protobuf encoding without building its graph.
Tested in tests/engines/test_engine_file.py.

ONNX Runtime needs 75 ms of CPU for that with the bundled engine (8 MB, no optimisation) and its import
another 50; this needs 5. Fields that are not wanted are skipped by their length, so weights are never looked
at, and a length that leads beyond the file is found. Whether the graph can be computed is for the runtime to
say.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamseg.engine_contract import TensorSpec

__all__ = ["OnnxHeader", "read_onnx_header"]

Value = memoryview | int
MODEL_GRAPH, MODEL_METADATA = 7, 14
GRAPH_INPUT, GRAPH_OUTPUT = 11, 12
DTYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool"}
DTYPES |= {10: "float16", 11: "float64", 16: "bfloat16"}
EXTERNAL = b"\x0a\x08location"
"""How a tensor that lies in another file begins to say where."""


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """Metadata, and the graph's inputs and outputs in the file's order."""

    metadata: dict[str, str]
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    has_external_data: bool
    """Whether weights may lie in other files, which the file's SHA-256 does not cover."""


def read_onnx_header(path: Path) -> OnnxHeader:
    """Raises ValueError for a file that is no whole ONNX model, OSError for one that cannot be read."""
    with path.open("rb") as file:
        # Let go with its last view: an exception's traceback keeps some, and closing it before would fail.
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return OnnxHeader(*_model(memoryview(content)), has_external_data=content.find(EXTERNAL) >= 0)


def _model(view: memoryview) -> tuple[dict[str, str], dict[str, TensorSpec], dict[str, TensorSpec]]:
    metadata: dict[str, str] = {}
    tensors: dict[int, dict[str, TensorSpec]] = {GRAPH_INPUT: {}, GRAPH_OUTPUT: {}}
    graphs = 0
    for number, value in _fields(view):
        if number == MODEL_METADATA:
            key, text = _texts(_message(value), 1, 2)
            metadata[key] = text
        elif number == MODEL_GRAPH:
            graphs += 1
            for part, inner in _fields(_message(value)):
                if part in tensors:
                    spec = _tensor(_message(inner))
                    tensors[part][spec.name] = spec
    if graphs != 1:
        raise ValueError(f"{graphs} graphs")
    return metadata, tensors[GRAPH_INPUT], tensors[GRAPH_OUTPUT]


def _tensor(view: memoryview) -> TensorSpec:
    """Of a ValueInfoProto: name = 1, type = 2 {tensor_type = 1 {elem_type = 1, shape = 2 {dim = 1}}}."""
    (name,) = _texts(view, 1)
    dtype, shape = "", None
    for kind in _inner(view, 2, 1):
        for number, value in _fields(kind):
            if number == 1:
                dtype = DTYPES.get(_number(value), f"type {_number(value)}")
            elif number == 2:
                shape = tuple(_size(dim) for dim in _inner(_message(value), 1))
    return TensorSpec(name, shape, dtype)


def _size(dim: memoryview) -> int | str:
    """Of a Dimension: dim_value = 1 or dim_param = 2."""
    for number, value in _fields(dim):
        if number == 1:
            return _number(value)
    name = _texts(dim, 2)[0]
    return name if name.isidentifier() else "?"


def _inner(view: memoryview, *numbers: int) -> Iterator[memoryview]:
    """The messages at the end of a path of field numbers."""
    for number, value in _fields(view):
        if number == numbers[0]:
            message = _message(value)
            yield from _inner(message, *numbers[1:]) if len(numbers) > 1 else (message,)


def _texts(view: memoryview, *numbers: int) -> list[str]:
    found = {number: str(_message(value), "utf-8") for number, value in _fields(view) if number in numbers}
    return [found.get(number, "") for number in numbers]


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number in place of a message")
    return value


def _number(value: Value) -> int:
    if isinstance(value, memoryview):
        raise ValueError("a message in place of a number")
    return value


def _fields(view: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field: integers as such, everything else as bytes."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(view, at)
            yield number, value
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"wire type {wire}")
        length, at = _varint(view, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
        if at + length > len(view):
            raise ValueError("cut off")
        yield number, view[at : at + length]
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise ValueError("cut off")
        byte, at = view[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
