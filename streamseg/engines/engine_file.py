"""An engine file, read once for all who need something of it: what it says, what it hashes to, what it
holds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from streamseg.addresses import printable
from streamseg.engine_contract import EngineInfo, TensorSpec
from streamseg.engines.fingerprint import read_fingerprint
from streamseg.engines.metadata import MAKE_ONE, info_from_metadata
from streamseg.engines.onnx_header import read_onnx_header
from streamseg.engines.output_check import declared_problem
from streamseg.errors import EngineError, MissingDependency, NotAnEngine
from streamseg.files import file_sha256

if TYPE_CHECKING:
    from streamseg.models.engine_module import EngineModule

__all__ = ["CheckpointFile", "EngineFile", "OnnxFile", "PlanFile", "open_engine_file", "opened_as"]


class EngineFile:
    """What all engine files have. Made by `open_engine_file`; what it holds is of the moment it was
    opened."""

    suffix = ""
    path: Path
    info: EngineInfo
    batch = 1
    """Most frames that one call gains by. On a CPU a frame of eight costs what one alone does (compact in
    OpenVINO, interleaved: 44.9 and 44.5 ms of CPU time), and the last of them would wait for all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def sha256(self) -> str:
        """Of the file's content, in hex; worked out when first asked for. Raises EngineError."""
        try:
            return file_sha256(self.path)
        except OSError as error:
            raise EngineError(f"{self.path}: cannot be read ({error.strerror})") from error


class OnnxFile(EngineFile):
    """An ONNX file whose declared tensors are those of the contract."""

    suffix = ".onnx"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            header = read_onnx_header(path)
        except ValueError as error:
            raise NotAnEngine(f"{path}: not a whole ONNX file, or damaged ({error}); {MAKE_ONE}") from error
        except OSError as error:
            raise EngineError(f"{path}: cannot be read ({error.strerror})") from error
        self.inputs: Mapping[str, TensorSpec] = header.inputs
        self.outputs: Mapping[str, TensorSpec] = header.outputs
        self.has_external_data = header.has_external_data
        """Whether weights may lie in files beside it, which its SHA-256 does not cover."""
        self.info = info_from_metadata(header.metadata, self._input_hw(), str(path))
        if self.info.kind == "promptable":
            raise NotAnEngine(f"{path}: a promptable engine, which answers prompts and not frames alone")
        problem = declared_problem(self.inputs, self.outputs, self.info)
        if problem:
            raise NotAnEngine(f"{path}: {problem[:300]}; {MAKE_ONE}")

    def _input_hw(self) -> tuple[int, int]:
        """Height and width of its first input; where they are open, ones, which the contract's check
        finds."""
        for spec in self.inputs.values():
            match spec.shape:
                case (_, int(height), int(width), 3) if height > 0 and width > 0:
                    return height, width
        return 1, 1


class PlanFile(EngineFile):
    """A TensorRT engine that fits its fingerprint."""

    suffix = ".engine"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.fingerprint = read_fingerprint(path)
        self.info = self.fingerprint.info
        self.batch = self.fingerprint.options.batch[-1]

    @cached_property
    def sha256(self) -> str:
        """Of the file's content, in hex: the fingerprint was compared with it."""
        return self.fingerprint.engine_sha256


class CheckpointFile(EngineFile):
    """A checkpoint of streamseg with its network."""

    suffix = ".pth"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._module: EngineModule | None = self._loaded()
        try:
            self.info = self._module.info(checkpoint=printable(path.name))
        except NotAnEngine as error:
            raise NotAnEngine(f"{path}: {error}") from error

    def take_module(self) -> EngineModule:
        """The network as an engine, the caller's to keep and to change. Raises CheckpointError."""
        module, self._module = self._module, None
        return module or self._loaded()

    def _loaded(self) -> EngineModule:
        try:
            from streamseg.models.engine_module import EngineModule
            from streamseg.models.weights.checkpoint import load_checkpoint
        except ImportError as error:
            raise MissingDependency.of("torch", "models", f"{self.path}: a checkpoint") from error
        return EngineModule(load_checkpoint(self.path))


FileT = TypeVar("FileT", bound=EngineFile)
KINDS: dict[str, type[EngineFile]] = {kind.suffix: kind for kind in (OnnxFile, PlanFile, CheckpointFile)}


def open_engine_file(path: str | Path) -> EngineFile:
    """Read what an engine file says, and check it. Raises NotAnEngine for files that are none, EngineError
    for those that cannot be read or do not fit what is written beside them, CheckpointError."""
    path = Path(path)
    if not path.is_file():
        raise EngineError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise NotAnEngine(
            f"{path}: engines are .onnx files (.engine for TensorRT, .pth for torch), not {suffix or 'this'}"
        )
    return KINDS[suffix](path)


def opened_as(kind: type[FileT], file: str | Path | EngineFile, runtime: str) -> FileT:
    """`file`, opened where it is a path, for a runtime that reads one kind. Raises as `open_engine_file`, and
    EngineError for a file of another kind."""
    opened = file if isinstance(file, EngineFile) else open_engine_file(file)
    if not isinstance(opened, kind):
        raise EngineError(f"{opened.path}: runtime {runtime} reads {kind.suffix} files")
    return opened
