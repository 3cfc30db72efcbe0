"""The sidecar's section `fingerprint`: what an engine was built from, how, and on which machine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streamseg.engine_contract import EngineInfo
from streamseg.engines.build_options import BuildOptions
from streamseg.engines.machine import Machine
from streamseg.engines.metadata import info_from_metadata, metadata_from_info
from streamseg.engines.sidecar import read_sidecar, sidecar_path, write_section
from streamseg.errors import EngineError
from streamseg.files import file_sha256

__all__ = ["Fingerprint", "read_fingerprint", "rebuild_command", "source_of", "stale", "write_fingerprint"]

SECTION = "fingerprint"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """All that is needed to run an engine, to tell whether it fits, and to build it again."""

    info: EngineInfo
    """What the ONNX file said of itself: a TensorRT engine has no room for it."""
    machine: Machine
    options: BuildOptions
    onnx: str
    """The ONNX file it was built from, relative to the engine's folder."""
    onnx_sha256: str
    engine_sha256: str

    def to_json(self) -> dict[str, Any]:
        """The section as plain values."""
        return {
            "machine": asdict(self.machine),
            "options": asdict(self.options),
            "onnx": self.onnx,
            "onnx_sha256": self.onnx_sha256,
            "engine_sha256": self.engine_sha256,
            "input_hw": list(self.info.input_hw),
            "metadata": metadata_from_info(self.info),
        }

    @classmethod
    def from_json(cls, section: Mapping[str, Any], path: str) -> Fingerprint:
        """Read the section of the engine `path` back. Raises EngineError."""
        try:
            read = _checker().validate_python(section)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise EngineError(
                f"{path}: damaged fingerprint ({where}: {first['msg'].lower()}); build it again"
            ) from error
        return cls(
            info=info_from_metadata(read.metadata, read.input_hw, path),
            machine=read.machine,
            options=read.options,
            onnx=read.onnx,
            onnx_sha256=read.onnx_sha256,
            engine_sha256=read.engine_sha256,
        )


@dataclass(frozen=True, slots=True)
class _Section:
    """The section as it lies in the file, for checking its types."""

    machine: Machine
    options: BuildOptions
    onnx: str
    onnx_sha256: str
    engine_sha256: str
    input_hw: tuple[int, int]
    metadata: dict[str, str]


@cache
def _checker() -> TypeAdapter[_Section]:
    """Made when the first plan is read: every start imports this module."""
    return TypeAdapter(_Section)


def read_fingerprint(engine: Path) -> Fingerprint:
    """The fingerprint of an engine file. Raises EngineError where there is none or it is another file's."""
    section = read_sidecar(engine).get(SECTION)
    if section is None:
        raise EngineError(
            f"{engine}: no fingerprint in {sidecar_path(engine)}; engines are built with: "
            "streamseg build ENGINE.onnx"
        )
    fingerprint = Fingerprint.from_json(section, str(engine))
    if file_sha256(engine) != fingerprint.engine_sha256:
        raise EngineError(
            f"{engine}: damaged, or not the file that {sidecar_path(engine).name} speaks of; build it again: "
            f"{rebuild_command(engine, fingerprint)}"
        )
    return fingerprint


def write_fingerprint(engine: Path, fingerprint: Fingerprint) -> None:
    """Set the section; a certificate of what lay there before stays. Raises EngineError."""
    write_section(engine, SECTION, fingerprint.to_json())


def source_of(engine: Path, fingerprint: Fingerprint) -> Path:
    """Where the ONNX file was that the engine was built from."""
    return Path(os.path.normpath(engine.parent / fingerprint.onnx))


def rebuild_command(engine: Path, fingerprint: Fingerprint) -> str:
    """What to type to have the engine again, for this machine."""
    source = str(source_of(engine, fingerprint))
    return shlex.join(["streamseg", "build", source, "-o", str(engine), *fingerprint.options.arguments()])


def stale(fingerprint: Fingerprint, here: Machine) -> list[str]:
    """What of the machine `here` keeps the engine from running on it; nothing: it fits.

    An engine built without a GPU (TensorRT-RTX) names none, and runs on those that TensorRT-RTX supports.
    """
    built = fingerprint.machine
    differences = []
    if (built.flavour, built.tensorrt) != (here.flavour, here.tensorrt):
        differences.append(
            f"built with {built.flavour} {built.tensorrt}, here is {here.flavour} {here.tensorrt}"
        )
    if built.gpu and not _fits(fingerprint.options, built, here):
        differences.append(
            f"built for {built.gpu} ({built.compute_capability}), here is "
            + (f"{here.gpu} ({here.compute_capability})" if here.gpu else "no GPU")
        )
    if built.driver and here.driver and _numbers(here.driver) < _numbers(built.driver):
        differences.append(f"built under a driver for CUDA {built.driver}, here is one for {here.driver}")
    return differences


def _fits(options: BuildOptions, built: Machine, here: Machine) -> bool:
    match options.portable:
        case "ampere_plus":
            return bool(here.gpu) and _numbers(here.compute_capability) >= (8, 0)
        case "same_compute_capability":
            return built.compute_capability == here.compute_capability
        case _:
            return (built.gpu, built.compute_capability) == (here.gpu, here.compute_capability)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
