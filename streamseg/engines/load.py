"""Choose a runtime for an engine file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from streamseg.engines.contract import Engine
from streamseg.engines.locate import read_info
from streamseg.errors import ConfigError, EngineError, MissingDependency

__all__ = ["RUNTIMES", "RuntimeStatus", "available_runtimes", "load_engine"]

Loader = Callable[[Path, str, int | None], Engine]


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
    """One way to run engine files; its name is also that of the package it needs."""

    load: Loader
    suffix: str
    """Files it reads."""
    install: str
    """The command that brings its package."""


RUNTIMES: dict[str, Runtime] = {
    "openvino": Runtime(_load_openvino, ".onnx", "pip install streamseg"),
    "onnxruntime": Runtime(_load_onnxruntime, ".onnx", "pip install streamseg"),
    "torch": Runtime(_load_torch, ".pth", "pip install 'streamseg[models]'"),
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
    statuses = []
    for name, runtime in RUNTIMES.items():
        try:
            statuses.append(RuntimeStatus(name, True, f"{version(name)}, reads {runtime.suffix} files", ""))
        except PackageNotFoundError:
            statuses.append(RuntimeStatus(name, False, "not installed", runtime.install))
    return statuses


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
        near = get_close_matches(name, RUNTIMES, n=1, cutoff=0)
        raise ConfigError(f"runtime {name!r}: unknown; did you mean {near[0]!r}? auto, {', '.join(RUNTIMES)}")
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
    return next(status.available for status in available_runtimes() if status.name == name)
