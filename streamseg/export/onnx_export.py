"""A network → one ONNX file that meets the engine contract, checked against the network before it exists."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from streamseg.addresses import printable
from streamseg.engine_contract import INPUT_NAME
from streamseg.engines.metadata import SCOPES, metadata_from_info
from streamseg.errors import ExportError
from streamseg.export.check import FULL, HALF, check_export
from streamseg.files import file_sha256, write_bytes
from streamseg.models.engine_module import EngineModule
from streamseg.models.network import Network

__all__ = ["export"]

OPSET = 20
HALF_FROM_ELEMENTS = 1024
"""Weights smaller than this are not worth a Cast node."""
MAX_BATCH = 64


def export(
    model: Network,
    out_path: str | Path,
    *,
    max_detections: int = 100,
    score_threshold: float = 0.0,
    cross_class: bool = False,
    classes: Sequence[str] | None = None,
    half_weights: bool = False,
    checkpoint: str | Path | None = None,
) -> Path:
    """Write `model` with its tail to `out_path` and return that path.

    `cross_class` lets boxes suppress boxes of other classes: one instance per place (YOLACT only).
    `classes`: those of the network's that the file shall know, in that order; None: all.
    `half_weights` stores convolution weights as float16 (half the file; computed in float32 after load).
    `checkpoint` is the file the weights came from; its name and SHA-256 go into the metadata.
    The file appears only when ONNX Runtime gives what torch gives. Raises ExportError.
    """
    out_path = Path(out_path)
    # What can be known to fail is checked before the export's half minute.
    if not out_path.parent.is_dir():
        raise ExportError(f"{out_path}: cannot be written, there is no folder {out_path.parent}")
    name, digest = ("", "") if checkpoint is None else (Path(checkpoint).name, _sha256(Path(checkpoint)))
    module = EngineModule(
        copy.deepcopy(model).cpu().float().eval(),
        max_detections=max_detections,
        score_threshold=score_threshold,
        cross_class=cross_class,
        classes=classes,
    )
    # Before the half minute too: a name that no engine may have.
    metadata = metadata_from_info(module.info(checkpoint=printable(name), checkpoint_sha256=digest))
    proto = _onnx_from_module(module)
    if half_weights:
        _store_half(proto.graph)
    helper.set_model_props(proto, metadata)
    content = proto.SerializeToString()
    check_export(module, content, HALF if half_weights else FULL, str(out_path))
    _write(content, out_path)
    return out_path


def _onnx_from_module(module: EngineModule) -> onnx.ModelProto:
    frames = torch.zeros(2, *module.model.config.input_hw, 3, dtype=torch.uint8)
    batch = torch.export.Dim("B", min=1, max=MAX_BATCH)
    try:
        with warnings.catch_warnings():
            # The exporter's own remarks (names of axes, its use of deprecated torch functions).
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                (frames,),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=list(module.output_names),
                dynamic_shapes=({0: batch},),
            )
    except Exception as error:  # the exporter raises whatever its passes raise
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"{module.model.config.name}: torch cannot export it ({first_line})") from error
    assert program is not None  # it is None only with dynamo=False
    proto: onnx.ModelProto = program.model_proto
    _drop_traces(proto.graph)
    return proto


def _drop_traces(graph: onnx.GraphProto) -> None:
    """The exporter notes where every node came from, in paths of this machine: an eighth of a small engine's
    file, and nobody's business."""
    for node in graph.node:
        kept = [entry.value for entry in node.metadata_props if entry.key == SCOPES]
        del node.metadata_props[:]
        for scopes in kept:
            node.metadata_props.add(key=SCOPES, value=scopes)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _drop_traces(attribute.g)
    for value in (*graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]


def _store_half(graph: onnx.GraphProto) -> None:
    """Replace convolution weights by float16 ones and a Cast under the old name. Priors stay float32: half a
    cell in 2048 would move boxes."""
    weights = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    casts = []
    for tensor in graph.initializer:
        if tensor.name not in weights or np.prod(tensor.dims) < HALF_FROM_ELEMENTS:
            continue
        name = tensor.name
        half = numpy_helper.to_array(tensor).astype(np.float16)
        if not np.isfinite(half).all():
            raise ExportError(f"{name}: weights exceed half precision; export without half weights")
        tensor.CopyFrom(numpy_helper.from_array(half, name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({error.strerror})") from error


def _write(content: bytes, path: Path) -> None:
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written ({error.strerror})") from error
