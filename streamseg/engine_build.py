"""What `streamseg build` does: a recipe → ONNX → (calibration) → engine → certificate."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from streamseg.calibration import calibration_frames
from streamseg.engine_files import export_engine
from streamseg.engines.build_layers import describe_layers, layers_of_engine
from streamseg.engines.build_options import BuildOptions
from streamseg.engines.build_progress import BuildWatcher
from streamseg.engines.fingerprint import read_fingerprint, source_of, stale
from streamseg.engines.locate import read_info
from streamseg.engines.machine import this_machine
from streamseg.errors import ConfigError, EngineError, MissingDependency
from streamseg.published import engine_path
from streamseg.recipes import Recipe
from streamseg.zoo.watch import Watcher

if TYPE_CHECKING:
    from streamseg.certificate import Certificate

__all__ = ["inspect", "make_engine", "make_onnx", "output_of", "rebuild_if_stale"]


class AnyWatcher(Watcher, BuildWatcher, Protocol):
    """Downloads, exports and builds."""


def output_of(source: str, output: str | None, recipe: Recipe) -> Path:
    """The file that a build writes: `output`, or beside the source, named after it and the precision.

    Raises ConfigError for a suffix that is no engine's.
    """
    suffix = ".onnx" if recipe.target == "cpu" else ".engine"
    if output is None:
        path = Path(source)
        is_recipe = path.suffix in (".yaml", ".yml")
        return path.with_name(f"{path.stem}{'' if is_recipe else '-' + recipe.precision}{suffix}")
    path = Path(output)
    if path.suffix not in (".engine", ".onnx"):
        raise ConfigError(f"{path}: an engine ends in .engine (TensorRT) or .onnx (INT8 for the CPU)")
    return path


def make_onnx(recipe: Recipe, folder: Path, cache_dir: str | None, watcher: Watcher) -> Path:
    """The FP32 engine file that a recipe starts from; pulled and exported where it is not there yet.

    One with export options of its own lies in `folder`. Raises what `engine_path` and `export_engine` do.
    """
    if not recipe.export_options and not recipe.model.endswith(".pth"):
        return engine_path(recipe.model, cache_dir, watcher)
    name = Path(recipe.model).stem + (f"-{recipe.size}" if recipe.size else "")
    return export_engine(
        recipe.model,
        str(folder / f"{name}.onnx"),
        **recipe.export_options,
        cache_dir=cache_dir,
        watcher=watcher,
    )


def make_engine(
    recipe: Recipe, output: Path, watcher: AnyWatcher, cache_dir: str | None = None
) -> Certificate | None:
    """Make `output`, a TensorRT engine or an INT8 .onnx for the CPU, from what the recipe names.

    The certificate is of the comparison with the FP32 engine on the recipe's footage; None where it names
    none. Raises EngineError, ExportError, ConfigError, SourceError, MissingDependency.
    """
    options = recipe.options
    require_packages()
    onnx = make_onnx(recipe, output.parent, cache_dir, watcher)
    _build(options, onnx, output, watcher, cache_dir)
    if recipe.certify is None:
        return None
    from streamseg.certify import certify_engine

    return certify_engine(
        output, onnx, recipe.certify, on_frame=lambda done, total: watcher.phase("comparing", done, total)
    )


def inspect(recipe: Recipe, watcher: AnyWatcher, cache_dir: str | None = None) -> list[str]:
    """Layers and precisions, as text: of the network that TensorRT would be given, or, where the recipe's
    model is a TensorRT engine, of what TensorRT made of it. Nothing is written. Raises as `make_engine`."""
    require_packages()
    if Path(recipe.model).suffix == ".engine":
        return describe_layers(layers_of_engine(Path(recipe.model)))
    from streamseg.engines.build import inspect_network

    with tempfile.TemporaryDirectory(prefix="streamseg-") as folder:
        onnx = make_onnx(recipe, Path(folder), cache_dir, watcher)
        with _quantized(recipe.options, onnx, Path(folder), watcher) as quantized:
            return describe_layers(inspect_network(onnx, recipe.options, quantized=quantized))


def rebuild_if_stale(engine: Path, watcher: Watcher, cache_dir: str | None = None) -> None:
    """Build a TensorRT engine again where it was made for another machine or version; other files are left.

    Raises EngineError where what it was built from is not there any more.
    """
    if engine.suffix != ".engine":
        return
    fingerprint = read_fingerprint(engine)
    differences = stale(fingerprint, this_machine())
    if not differences:
        return
    onnx = source_of(engine, fingerprint)
    if not onnx.is_file():
        raise EngineError(
            f"{engine}: {'; '.join(differences)}; cannot be rebuilt, {onnx} is not there; export it again"
        )
    watcher.say(f"{engine}: {'; '.join(differences)}; building it again")
    _build(fingerprint.options, onnx, engine, _WithoutPhases(watcher), cache_dir)


class _WithoutPhases:
    """A build among the lines of a run."""

    def __init__(self, watcher: Watcher) -> None:
        self.say, self.progress = watcher.say, watcher.progress

    def phase(self, name: str, done: int, total: int) -> None: ...


def _build(options: BuildOptions, onnx: Path, output: Path, watcher: BuildWatcher, cache: str | None) -> None:
    if output.suffix == ".onnx":
        _cpu_engine(options, onnx, output, watcher)
        return
    from streamseg.engines.build import build_engine

    kept_in = Path(cache) if cache else None
    with _quantized(options, onnx, output.parent, watcher) as quantized:
        build_engine(onnx, output, options, watcher, quantized=quantized, cache_dir=kept_in)


def require_packages() -> None:
    """Raise MissingDependency where the extra `models` is not installed."""
    if importlib.util.find_spec("onnx") is None:
        raise MissingDependency.of("onnx", "models", "streamseg build")


def _cpu_engine(options: BuildOptions, onnx: Path, output: Path, watcher: BuildWatcher) -> None:
    if not options.needs_calibration:
        raise ConfigError(
            f"{output}: for the CPU, int8 and mixed are built; {options.precision} runs from {onnx} as it is"
        )
    from streamseg.export.quantize import quantize

    quantize(onnx, output, _watched(options, onnx, watcher), mixed=options.precision == "mixed")


@contextmanager
def _quantized(
    options: BuildOptions, onnx: Path, folder: Path, watcher: BuildWatcher
) -> Iterator[Path | None]:
    """The calibrated form of `onnx` that TensorRT reads, for the block; None where none is needed."""
    if not options.needs_calibration:
        yield None
        return
    from streamseg.export.quantize import quantize

    with tempfile.TemporaryDirectory(prefix=".streamseg-", dir=folder) as inner:
        path = Path(inner) / "int8.onnx"
        frames = _watched(options, onnx, watcher)
        yield quantize(onnx, path, frames, mixed=options.precision == "mixed", signed=True)


def _watched(options: BuildOptions, onnx: Path, watcher: BuildWatcher) -> Iterator[NDArray[np.uint8]]:
    frames = calibration_frames(options.calibrate, read_info(onnx), options.frames)
    for done, frame in enumerate(frames, start=1):
        watcher.phase("calibrating", done, options.frames)
        yield frame
