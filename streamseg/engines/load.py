"""Choose a runtime for an engine file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from streamseg.engine_contract import Engine
from streamseg.engines.locate import read_info
from streamseg.errors import ConfigError, EngineError, MissingDependency, did_you_mean

__all__ = ["RUNTIMES", "RuntimeStatus", "available_runtimes", "load_engine"]

Loader = Callable[[Path, str, int | None], Engine]


def _load_tensorrt(path: Path, precision: str, threads: int | None) -> Engine:
    from streamseg.engines.tensorrt_engine import TensorRTEngine

    return TensorRTEngine(path, precision=precision, threads=threads)


def _load_openvino(path: Path, precision: str, threads: int | None) -> Engine:
    from streamseg.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(path, precision=precision, threads=threads)


def _load_onnxruntime(path: Path, precision: str, threads: int | None) -> Engine:
    from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(path, precision=precision, threads=threads)


def _load_torch(path: Path, precision: str, threads: int | None) -> Engine:
    from streamseg.engines.torch_engine import TorchEngine

    return TorchEngine(path, precision=precision, threads=threads)


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


RUNTIMES: dict[str, Runtime] = {
    "tensorrt": Runtime(
        _load_tensorrt, ".engine", "pip install 'streamseg[tensorrt]'", ("tensorrt", "tensorrt_rtx")
    ),
    "openvino": Runtime(_load_openvino, ".onnx", "pip install streamseg", ("openvino",)),
    "onnxruntime": Runtime(_load_onnxruntime, ".onnx", "pip install streamseg", ("onnxruntime",)),
    "torch": Runtime(_load_torch, ".pth", "pip install 'streamseg[models]'", ("torch",)),
}
"""By name, the fastest first: that is the order in which `auto` tries them."""


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
    path: str | Path, runtime: str = "auto", precision: str = "auto", threads: int | None = None
) -> Engine:
    """An engine for the file `path`; call it in the thread that will use it.

    `auto` takes the fastest runtime that is installed and reads this file; `engine.runtime` says which.
    Raises EngineError for files that cannot be used, ConfigError for options that no runtime has,
    MissingDependency for a runtime that is not installed.
    """
    path = Path(path)
    if runtime != "auto":
        return _named(runtime, path).load(path, precision, threads)
    read_info(path)
    return _fastest(path, precision, threads)


def _named(name: str, path: Path) -> Runtime:
    if name not in RUNTIMES:
        hint = did_you_mean(name, RUNTIMES)
        known = ", ".join(["auto", *RUNTIMES])
        raise ConfigError(f"runtime {name!r}: unknown; {hint + ' ' if hint else ''}known: {known}")
    runtime = RUNTIMES[name]
    if not _installed(name):
        raise MissingDependency(f"runtime {name}: not installed; {runtime.install}")
    if path.suffix.lower() in {r.suffix for r in RUNTIMES.values()} - {runtime.suffix}:
        raise EngineError(f"{path}: runtime {name} reads {runtime.suffix} files")
    return runtime


def _fastest(path: Path, precision: str, threads: int | None) -> Engine:
    readers = {name: r for name, r in RUNTIMES.items() if r.suffix == path.suffix.lower()}
    refusals: list[EngineError | ConfigError] = []
    for name, reader in readers.items():
        if not _installed(name):
            continue
        try:
            return reader.load(path, precision, threads)
        except (EngineError, ConfigError) as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[0]
    raise MissingDependency(f"{path}: no runtime for it is installed; {next(iter(readers.values())).install}")


def _installed(name: str) -> bool:
    return any(find_spec(module) for module in RUNTIMES[name].modules)
