"""What a run must know of an engine's certificate: is there one for these very bytes, and its verdict."""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamseg.engines.sidecar import file_sha256, read_sidecar, sidecar_path
from streamseg.errors import EngineError

__all__ = ["CERTIFICATE", "certificate_of", "check_certificate", "needs_certificate"]

CERTIFICATE = "certificate"
"""The sidecar's section."""
QUANTISED = re.compile(rb"DequantizeLinear|QLinearConv|ConvInteger|MatMulInteger")
"""Operators of quantised networks: their names are plain text in an ONNX file."""


def needs_certificate(engine: Path) -> bool:
    """Whether the file was built from another, its reference, and may differ from it.

    True for TensorRT engines and quantised ONNX files; an ONNX file in floating point as exported, which was
    compared with torch then, and a checkpoint are references themselves.
    """
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


def certificate_of(engine: Path) -> Mapping[str, Any] | None:
    """The certificate in the engine's sidecar if it is one of the file as it is now, else None.

    Raises EngineError for a sidecar that cannot be read.
    """
    section = read_sidecar(engine).get(CERTIFICATE)
    if section is None:
        return None
    try:
        if section["candidate"]["sha256"] != file_sha256(engine):
            return None
        _ = section["verdict"], section["candidate"]["runtime"], section["faults"]
    except (KeyError, TypeError) as error:
        raise EngineError(f"{sidecar_path(engine)}: damaged certificate; certify again") from error
    return dict(section)


def check_certificate(
    engine: Path, *, runtime: str = "auto", precision: str = "auto", allow_failed: bool = False
) -> str | None:
    """A line to warn with, or None where there is nothing to say, for a run of the file as asked.

    A certificate in a runtime or precision that is certainly not the one asked for counts as none. Raises
    EngineError for a failed one unless `allow_failed`.
    """
    certificate = certificate_of(engine)
    if certificate is None or not _covers(certificate["candidate"]["runtime"], runtime, precision):
        return _uncertified(engine) if needs_certificate(engine) else None
    if certificate["verdict"] == "passed":
        return None
    why = "; ".join(map(str, certificate["faults"]))
    said = f"{engine}: failed its certificate ({why})"
    if not allow_failed:
        raise EngineError(
            f"{said}; repair it and certify again, or run it all the same: --allow-failed-certificate"
        )
    return f"{said}; running it all the same"


def _covers(certified: str, runtime: str, precision: str) -> bool:
    """Whether `certified`, such as `openvino 2025.4 BF16`, may be what is asked for."""
    words = certified.lower().split() or [""]
    return runtime in ("auto", words[0]) and precision in ("auto", words[-1])


def _uncertified(engine: Path) -> str:
    return (
        f"{engine}: no certificate for this file; compare it with what it was built from: "
        f"streamseg certify {engine} --against REFERENCE.onnx --on CLIP"
    )
