"""What `streamseg build` does: a recipe → ONNX → (calibration) → engine → certificate."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from streamseg.certification.certificate import Certificate
from streamseg.compile.layers import describe_layers, layers_of_engine
from streamseg.compile.recipe import Recipe
from streamseg.errors import ConfigError, MissingDependency
from streamseg.jobs.certify import certify_engine
from streamseg.jobs.export import export_engine
from streamseg.jobs.obtain import engine_path
from streamseg.jobs.rebuild import compile_engine, quantized
from streamseg.progress import Watcher

__all__ = ["inspect", "make_engine", "make_onnx", "output_of"]


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
    recipe: Recipe, output: Path, watcher: Watcher, cache_dir: str | None = None
) -> Certificate | None:
    """Make `output`, a TensorRT engine or an INT8 .onnx for the CPU, from what the recipe names.

    The certificate is of the comparison with the FP32 engine on the recipe's footage; None where it names
    none. Raises EngineError, ExportError, ConfigError, SourceError, MissingDependency.
    """
    options = recipe.options
    _require_packages()
    onnx = make_onnx(recipe, output.parent, cache_dir, watcher)
    compile_engine(options, onnx, output, watcher, cache_dir)
    if recipe.certify is None:
        return None
    return certify_engine(
        output, onnx, recipe.certify, on_frame=lambda done, total: watcher.progress("comparing", done, total)
    )


def inspect(recipe: Recipe, watcher: Watcher, cache_dir: str | None = None) -> list[str]:
    """Layers and precisions, as text: of the network that TensorRT would be given, or, where the recipe's
    model is a TensorRT engine, of what TensorRT made of it. Nothing is written. Raises as `make_engine`."""
    _require_packages()
    if Path(recipe.model).suffix == ".engine":
        return describe_layers(layers_of_engine(Path(recipe.model)))
    from streamseg.compile.build import inspect_network

    with tempfile.TemporaryDirectory(prefix="streamseg-") as folder:
        onnx = make_onnx(recipe, Path(folder), cache_dir, watcher)
        with quantized(recipe.options, onnx, Path(folder), watcher) as int8:
            return describe_layers(inspect_network(onnx, recipe.options, quantized=int8))


def _require_packages() -> None:
    """Raise MissingDependency where the extra `models` is not installed."""
    if importlib.util.find_spec("onnx") is None:
        raise MissingDependency.of("onnx", "models", "streamseg build")
