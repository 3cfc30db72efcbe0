"""A network → one ONNX file that meets the engine contract, checked against the network before it exists."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch.nn.functional import interpolate

from streamseg.engines.agreement import Agreement, compare
from streamseg.engines.contract import INPUT_NAME, OUTPUT_NAMES, EngineOutputs, metadata_from_info
from streamseg.errors import ExportError
from streamseg.export.module import EngineModule
from streamseg.models.network import Network

__all__ = ["export"]

OPSET = 20
HALF_FROM_ELEMENTS = 1024
"""Weights smaller than this are not worth a Cast node."""
MAX_BATCH = 64


class Tolerance(NamedTuple):
    """What may differ between the file in ONNX Runtime and the network in torch."""

    matched_share: float
    """Instances that need a partner of the same class and place; the rest are near ties of NMS."""
    score: float
    """Difference of a score, but for the share that needs no partner: near ties have other partners."""
    cells: float
    """Share of a mask's cells that differ by more than two levels, but for the same."""


FULL = Tolerance(matched_share=0.95, score=1e-3, cells=0.01)
"""Two runtimes of the same float32 network differ by 2e-5 in scores (measured on YOLACT-R50). On noise a
network may give the score 1 to more instances than are listed, and their order, so what NMS leaves, is open:
3 % of YOLACT++'s had no partner, another run paired neighbours of which scores differed by 0.025."""
HALF = Tolerance(matched_share=0.9, score=2e-2, cells=0.1)
"""Weights rounded to 11 bits."""


def export(
    model: Network,
    out_path: str | Path,
    *,
    max_detections: int = 100,
    score_threshold: float = 0.0,
    cross_class: bool = False,
    half_weights: bool = False,
    checkpoint: str | Path | None = None,
) -> Path:
    """Write `model` with its tail to `out_path` and return that path.

    `cross_class` lets boxes suppress boxes of other classes: one instance per place (YOLACT only).
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
    )
    proto = _onnx_from_module(module)
    if half_weights:
        _store_half(proto.graph)
    info = module.info(checkpoint=name, checkpoint_sha256=digest)
    helper.set_model_props(proto, metadata_from_info(info))
    content = proto.SerializeToString()
    _check(module, content, HALF if half_weights else FULL, out_path)
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
                output_names=list(OUTPUT_NAMES),
                dynamic_shapes=({0: batch},),
            )
    except Exception as error:  # the exporter raises whatever its passes raise
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"{module.model.config.name}: torch cannot export it ({first_line})") from error
    assert program is not None  # it is None only with dynamo=False
    proto: onnx.ModelProto = program.model_proto
    return proto


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
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({error.strerror})") from error


def sample_frames(input_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """(2, h, w, 3) uint8: noise, and soft blobs with edges, which is nearer to a picture."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, *input_hw, generator=rng)
    coarse = torch.rand(1, 3, 6, 8, generator=rng)
    smooth = interpolate(coarse, size=input_hw, mode="bilinear")
    blocks = interpolate((coarse > 0.7).float(), size=input_hw, mode="nearest")
    frames = torch.cat([noise, 0.6 * smooth + 0.4 * blocks]).permute(0, 2, 3, 1) * 255
    result: NDArray[np.uint8] = frames.to(torch.uint8).contiguous().numpy()
    return result


def _check(module: EngineModule, content: bytes, tolerance: Tolerance, out_path: Path) -> None:
    """Raise ExportError, with the differences, unless ONNX Runtime agrees with torch."""
    frames = sample_frames(module.model.config.input_hw)
    with torch.inference_mode():
        expected = EngineOutputs(*(t.numpy() for t in module(torch.from_numpy(frames))))
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        results: Any = session.run(list(OUTPUT_NAMES), {INPUT_NAME: frames})
    except Exception as error:  # ONNX Runtime's exceptions derive from Exception alone
        raise ExportError(f"{out_path}: ONNX Runtime cannot run the export ({error})") from error
    found = EngineOutputs(*results)
    for name in OUTPUT_NAMES:
        have, want = getattr(found, name), getattr(expected, name)
        if have.dtype != want.dtype or have.shape != want.shape:
            raise ExportError(
                f"{out_path}: {name} is {have.dtype} {have.shape}, expected {want.dtype} {want.shape}"
            )
    problem = _disagreement(compare(expected, found), tolerance)
    if problem:
        raise ExportError(f"{out_path}: the export differs from the network: {problem}")


def _disagreement(agreement: Agreement, tolerance: Tolerance) -> str:
    """What exceeds the tolerance; empty when nothing does."""
    score, cells = (
        float(np.quantile(column, tolerance.matched_share)) if agreement.matched else 0.0
        for column in (agreement.score_shift, agreement.cells_differ)
    )
    checks = (
        (
            agreement.matched_share < tolerance.matched_share,
            f"{agreement.matched_share:.1%} of the instances match ({tolerance.matched_share:.0%} needed)",
        ),
        (score > tolerance.score, f"scores differ by {score:.2g} and more ({tolerance.score:g} allowed)"),
        (cells > tolerance.cells, f"{cells:.2%} of masks' cells differ ({tolerance.cells:.0%} allowed)"),
    )
    return "; ".join(text for failed, text in checks if failed)


def _write(content: bytes, path: Path) -> None:
    """Atomically: a reader, or a kill, never sees half a file."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    except OSError as error:
        raise ExportError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ExportError(f"{path}: cannot be written ({error.strerror})") from error
        raise
