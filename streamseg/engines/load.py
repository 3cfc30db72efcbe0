"""Choose a runtime for an engine file. Tested in tests/engines/test_conformance.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from streamseg.engine_contract import Engine, RuntimeName
from streamseg.engines.engine_file import EngineFile, open_engine_file
from streamseg.errors import ConfigError, EngineError, MissingDependency, did_you_mean

__all__ = ["RUNTIMES", "RuntimeStatus", "available_runtimes", "load_engine"]

_log = logging.getLogger(__name__)

Loader = Callable[[EngineFile, str, int | None], Engine]


def _load_tensorrt(file: EngineFile, precision: str, threads: int | None) -> Engine:
    from streamseg.engines.tensorrt_engine import TensorRTEngine

    return TensorRTEngine(file, precision=precision, threads=threads)


def _load_openvino(file: EngineFile, precision: str, threads: int | None) -> Engine:
    from streamseg.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(file, precision=precision, threads=threads)


def _load_onnxruntime(file: EngineFile, precision: str, threads: int | None) -> Engine:
    from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(file, precision=precision, threads=threads)


def _load_torch(file: EngineFile, precision: str, threads: int | None) -> Engine:
    from streamseg.engines.torch_engine import TorchEngine

    return TorchEngine(file, precision=precision, threads=threads)


@dataclass(frozen=True, slots=True)
class Runtime:
    """One way to run engine files."""

    load: Loader
    suffix: str
    """Files it reads."""
    install: str
    """The command that brings its package."""
    modules: tuple[str, ...]
    """What it needs: any of these."""


RUNTIMES: dict[RuntimeName, Runtime] = {
    "tensorrt": Runtime(
        _load_tensorrt, ".engine", "pip install 'streamseg[tensorrt]'", ("tensorrt", "tensorrt_rtx")
    ),
    "openvino": Runtime(_load_openvino, ".onnx", "pip install streamseg", ("openvino",)),
    "onnxruntime": Runtime(_load_onnxruntime, ".onnx", "pip install streamseg", ("onnxruntime",)),
    "torch": Runtime(_load_torch, ".pth", "pip install 'streamseg[models]'", ("torch",)),
}
"""By name, in the order in which `auto` tries them."""


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """Whether a runtime can be used here."""

    name: str
    available: bool
    detail: str
    """Its version, or what is missing."""
    cure: str
    """The install command; empty when it is available."""


def available_runtimes() -> list[RuntimeStatus]:
    """Every runtime, the fastest first; nothing is imported."""
    return [_status(name, runtime) for name, runtime in RUNTIMES.items()]


def _status(name: str, runtime: Runtime) -> RuntimeStatus:
    module = next((module for module in runtime.modules if find_spec(module)), None)
    if module is None:
        return RuntimeStatus(name, False, "not installed", runtime.install)
    return RuntimeStatus(name, True, f"{_version(module)}, reads {runtime.suffix} files", "")


def _version(module: str) -> str:
    """Of the package that brings `module`, which may have another name: `tensorrt_cu13`."""
    try:
        return version(module)
    except PackageNotFoundError:
        packages = packages_distributions().get(module, [])
        return f"{packages[0]} {version(packages[0])}" if packages else "installed by hand"


def load_engine(
    file: str | Path | EngineFile, runtime: str = "auto", precision: str = "auto", threads: int | None = None
) -> Engine:
    """An engine for `file`; call it in the thread that will use it. What is open already is not read again.

    `auto` takes the fastest runtime that is installed and runs this file, and logs why a faster one does not;
    `engine.runtime` says which. Raises EngineError for files that cannot be used, ConfigError for options
    that no runtime has, MissingDependency for a runtime that is not installed.
    """
    if runtime != "auto":
        named = _named(runtime, _path(file))
        return named.load(_opened(file), precision, threads)
    return _fastest(_opened(file), precision, threads)


def _path(file: str | Path | EngineFile) -> Path:
    return file.path if isinstance(file, EngineFile) else Path(file)


def _opened(file: str | Path | EngineFile) -> EngineFile:
    return file if isinstance(file, EngineFile) else open_engine_file(file)


def _named(name: str, path: Path) -> Runtime:
    known = next((known for known in RUNTIMES if known == name), None)
    if known is None:
        hint = did_you_mean(name, RUNTIMES)
        names = ", ".join(["auto", *RUNTIMES])
        raise ConfigError(f"runtime {name!r}: unknown; {hint + ' ' if hint else ''}known: {names}")
    runtime = RUNTIMES[known]
    if not _installed(known):
        raise MissingDependency(f"runtime {name}: not installed; {runtime.install}")
    if path.suffix.lower() in {r.suffix for r in RUNTIMES.values()} - {runtime.suffix}:
        raise EngineError(f"{path}: runtime {name} reads {runtime.suffix} files")
    return runtime


def _fastest(file: EngineFile, precision: str, threads: int | None) -> Engine:
    readers = {name: runtime for name, runtime in RUNTIMES.items() if runtime.suffix == file.suffix}
    refusals: list[EngineError | ConfigError] = []
    for name, reader in readers.items():
        if not _installed(name):
            continue
        try:
            engine = reader.load(file, precision, threads)
        except (EngineError, ConfigError) as refusal:
            refusals.append(refusal)
            continue
        for reason in refusals:
            _log.warning("%s runs in %s instead: %s", file.path, name, reason)
        return engine
    if refusals:
        raise refusals[0]
    install = next(iter(readers.values())).install
    raise MissingDependency(f"{file.path}: no runtime for it is installed; {install}")


def _installed(name: RuntimeName) -> bool:
    return any(find_spec(module) for module in RUNTIMES[name].modules)
