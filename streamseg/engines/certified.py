"""What a run must know of an engine's certificate: is there one for these very bytes, run this way, and its
verdict. Tested in tests/jobs/test_certify.py.

A certificate speaks of one file in one runtime and precision. A run knows the latter only when the engine is
open: `refuse_failed` is for before, `check_certificate` for after. What takes an `EngineFile` hashes it no
second time.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamseg.engines.engine_file import EngineFile
from streamseg.engines.sidecar import read_sidecar, sidecar_path
from streamseg.errors import EngineError

__all__ = [
    "CERTIFICATE",
    "EDITION",
    "certificate_of",
    "check_certificate",
    "needs_certificate",
    "refuse_failed",
]

CERTIFICATE = "certificate"
"""The sidecar's section."""
EDITION = 2
"""Of what a certificate compares; 1 had no boxes, and passed engines whose every box was the whole frame."""
QUANTISED = re.compile(rb"DequantizeLinear|QLinearConv|ConvInteger|MatMulInteger")
"""Operators of quantised networks: their names are plain text in an ONNX file."""
REDUCED = ("bf16", "fp16", "int8", "mixed")
"""Precisions that no export was compared in: run so, any file is a derived engine."""


def needs_certificate(engine: Path, precision: str = "fp32") -> bool:
    """Whether what runs differs from what was compared with torch at the export.

    True for TensorRT engines, quantised ONNX files, and whatever is run in reduced precision. An ONNX file in
    floating point and a checkpoint, run in FP32, are references themselves.
    """
    if precision.lower() in REDUCED and engine.is_file():
        return True
    match engine.suffix.lower():
        case ".engine" | ".plan":
            return True
        case ".onnx":
            return _is_quantised(engine)
    return False


def _is_quantised(onnx: Path) -> bool:
    try:
        with onnx.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return QUANTISED.search(content) is not None
    except (OSError, ValueError):  # unreadable, or empty: what loads it says so
        return False


def certificate_of(engine: EngineFile | Path) -> Mapping[str, Any] | None:
    """The certificate in the engine's sidecar if it is one of the file as it is now, else None.

    Of a path that is the moment of the call, of an `EngineFile` the one when it was first hashed. Raises
    EngineError for a sidecar or an engine that cannot be read.
    """
    path = _path_of(engine)
    section = read_sidecar(path).get(CERTIFICATE)
    if section is None:
        return None
    try:
        wanted = section["candidate"]["sha256"]
        _ = section["verdict"], section["candidate"]["runtime"], section["faults"]
    except (KeyError, TypeError) as error:
        raise EngineError(f"{sidecar_path(path)}: damaged certificate; certify again") from error
    have = engine.sha256 if isinstance(engine, EngineFile) else EngineFile(engine).sha256
    return dict(section) if wanted == have else None


def _path_of(engine: EngineFile | Path) -> Path:
    return engine.path if isinstance(engine, EngineFile) else engine


def _made_in(certificate: Mapping[str, Any]) -> tuple[str, str]:
    """Runtime and precision in which the engine was compared, in lower case.

    A certificate of edition 1 has them as text only: `openvino 2026.4.1 INT8, rest BF16`.
    """
    candidate = certificate["candidate"]
    words = str(candidate["runtime"]).lower().split() or [""]
    return str(candidate.get("runtime_name", words[0])), str(candidate.get("precision", words[-1]))


def refuse_failed(
    engine: EngineFile | Path, *, runtime: str = "auto", precision: str = "auto", allow_failed: bool = False
) -> None:
    """Before the engine is opened: raise EngineError where its certificate failed, unless `allow_failed` or
    the runtime or precision asked for is another than the one that failed."""
    certificate = certificate_of(engine)
    if certificate is None or certificate["verdict"] == "passed" or allow_failed:
        return
    name, arithmetic = _made_in(certificate)
    if runtime in ("auto", name) and precision in ("auto", arithmetic):
        raise EngineError(
            f"{_failed(_path_of(engine), certificate)}; repair it and certify again, or run it all the same: "
            "--allow-failed-certificate"
        )


def check_certificate(
    engine: EngineFile | Path, *, runtime: str, precision: str, allow_failed: bool = False
) -> str | None:
    """For an opened engine: a line to warn with, or None where there is nothing to say.

    `runtime` and `precision` are what executes (`Engine.runtime_name`, `Engine.precision`). A certificate
    made in another counts as none, and so does one that passed without a look at boxes. Raises EngineError
    for one that failed unless `allow_failed`.
    """
    ran = runtime.lower(), precision.lower()
    path, certificate = _path_of(engine), certificate_of(engine)
    covers = certificate is not None and _made_in(certificate) == ran
    if covers and certificate is not None and certificate["verdict"] != "passed":
        refuse_failed(engine, runtime=ran[0], precision=ran[1], allow_failed=allow_failed)
        return f"{_failed(path, certificate)}; running it all the same"
    if not needs_certificate(path, precision):
        return None
    if certificate is None:
        return f"{path}: no certificate for this file in {_shown(*ran)}; {_cure(path, ran)}"
    if not covers:
        other = _shown(*_made_in(certificate))
        return f"{path}: certified in {other}, but runs in {_shown(*ran)}; {_cure(path, ran)}"
    if certificate.get("edition", 1) < EDITION:
        old = "its certificate, made by an older streamseg, says nothing of boxes"
        return f"{path}: {old}; {_cure(path, ran)}"
    return None


def _failed(engine: Path, certificate: Mapping[str, Any]) -> str:
    why = "; ".join(map(str, certificate["faults"]))
    how = _shown(*_made_in(certificate))
    return f"{engine}: failed its certificate in {how} ({why})"


def _shown(runtime: str, precision: str) -> str:
    return f"{runtime} {precision.upper()}"


def _cure(engine: Path, ran: tuple[str, str]) -> str:
    """What to type."""
    how = f"--runtime {ran[0]} --precision {ran[1]} --on CLIP"
    if needs_certificate(engine):
        known = f"streamseg certify {engine} --against REFERENCE.onnx {how}"
        return f"compare it with what it was built from: {known}"
    return (
        "run it as it was exported: --precision fp32; or compare the two: "
        f"streamseg certify {engine} --against {engine} {how}"
    )
