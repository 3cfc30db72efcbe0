"""Find engine files by name or path, and read what they say of themselves without compiling them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from streamseg.engine_contract import EngineInfo
from streamseg.engines.engine_file import open_engine_file
from streamseg.errors import EngineError, did_you_mean

__all__ = ["find_engine", "list_engines", "read_info"]


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
    """What an engine file says of itself. Raises as `open_engine_file`, which keeps what it has read."""
    return open_engine_file(path).info
