"""Find engine files by name or path, and read what they say of themselves without compiling them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from streamseg.engine_contract import INPUT_NAME, OUTPUT_NAMES, EngineInfo, info_from_metadata
from streamseg.engines.fingerprint import read_fingerprint
from streamseg.errors import EngineError, MissingDependency, NotAnEngine, did_you_mean

__all__ = ["find_engine", "list_engines", "read_info"]

MAKE_ONE = "make one with: streamseg export MODEL -o OUT.onnx"


def list_engines(folder: str | Path | None = None) -> dict[str, Path]:
    """Engine files by name: those in the package, by stem, then the ONNX files and TensorRT engines in
    `folder`, by path."""
    bundled = Path(str(files("streamseg"))) / "bundled"
    found = {path.stem: path for path in sorted(bundled.glob("*.onnx"))}
    if folder is not None:
        there = sorted([*Path(folder).glob("*.onnx"), *Path(folder).glob("*.engine")])
        found |= {str(path): path for path in there}
    return found


def find_engine(name_or_path: str | Path, published: Iterable[str] = ()) -> Path:
    """The file of a bundled engine's name or of a path. Raises EngineError with what there is instead, names
    of `published` weights included."""
    bundled = list_engines()
    if str(name_or_path) in bundled:
        return bundled[str(name_or_path)]
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.is_dir():
        raise EngineError(f"{path}: a folder; name an engine file in it")
    others = list(published)
    near = did_you_mean(path.stem, [*bundled, *others])
    hint = near or f"bundled engines: {', '.join(bundled) or 'none'}"
    if others and not near:
        hint += "; published ones: streamseg models"
    raise EngineError(f"{path}: no such engine file; {hint}")


def read_info(path: str | Path) -> EngineInfo:
    """What an engine file says of itself. Raises NotAnEngine for files that are none, EngineError for
    those that cannot be read."""
    path = Path(path)
    if not path.is_file():
        raise EngineError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
    match path.suffix.lower():
        case ".onnx":
            return _info_from_onnx(path)
        case ".pth":
            from streamseg.engines.torch_engine import info_from_checkpoint

            return info_from_checkpoint(path)
        case ".engine":
            return read_fingerprint(path).info
        case suffix:
            raise NotAnEngine(
                f"{path}: engines are .onnx files (.engine for TensorRT, .pth for torch),"
                f" not {suffix or 'this'}"
            )


def _info_from_onnx(path: Path) -> EngineInfo:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency("reading an engine needs onnxruntime: pip install streamseg") from error
    options = onnxruntime.SessionOptions()
    # Nothing is run: without optimisation a 120 MB file is read in a tenth of the time.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions derive from Exception alone
        why = " ".join(str(error).split())[:160]
        raise NotAnEngine(f"{path}: not a whole ONNX file, or damaged ({why}); {MAKE_ONE}") from error
    metadata = session.get_modelmeta().custom_metadata_map
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = [tensor.name for tensor in (*inputs, *outputs)]
    shape = inputs[0].shape if inputs else []
    info = info_from_metadata(metadata, _input_hw(shape), str(path))
    if names != [INPUT_NAME, *OUTPUT_NAMES] or inputs[0].type != "tensor(uint8)" or info.input_hw == (0, 0):
        raise NotAnEngine(f"{path}: its tensors are not those of the engine contract; {MAKE_ONE}")
    return info


def _input_hw(shape: list[int | str | None]) -> tuple[int, int]:
    """Height and width of (B, h, w, 3); zeros when the shape is another."""
    match shape:
        case [_, int(height), int(width), 3]:
            return height, width
    return 0, 0
