"""From an ONNX engine to the compiled one that was asked for, and the same again on another machine.

Tested in tests/jobs/test_build.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamseg.compile.calibration_frames import calibration_frames
from streamseg.engines.build_options import BuildOptions
from streamseg.engines.fingerprint import read_fingerprint, source_of, stale
from streamseg.engines.locate import read_info
from streamseg.engines.machine import this_machine
from streamseg.errors import ConfigError, EngineError
from streamseg.progress import Watcher

__all__ = ["compile_engine", "quantized", "rebuild_if_stale"]


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
    compile_engine(fingerprint.options, onnx, engine, watcher, cache_dir)


def compile_engine(
    options: BuildOptions, onnx: Path, output: Path, watcher: Watcher, cache: str | None
) -> None:
    """Write `output`: a TensorRT engine, or an INT8 .onnx for the CPU. Raises as `make_engine`."""
    if output.suffix == ".onnx":
        _cpu_engine(options, onnx, output, watcher)
        return
    from streamseg.compile.build import build_engine

    kept_in = Path(cache) if cache else None
    with quantized(options, onnx, output.parent, watcher) as int8:
        build_engine(onnx, output, options, watcher, quantized=int8, cache_dir=kept_in)


def _cpu_engine(options: BuildOptions, onnx: Path, output: Path, watcher: Watcher) -> None:
    if not options.needs_calibration:
        raise ConfigError(
            f"{output}: for the CPU, int8 and mixed are built; {options.precision} runs from {onnx} as it is"
        )
    from streamseg.compile.quantize import quantize

    quantize(onnx, output, _watched(options, onnx, watcher), mixed=options.precision == "mixed")


@contextmanager
def quantized(options: BuildOptions, onnx: Path, folder: Path, watcher: Watcher) -> Iterator[Path | None]:
    """The calibrated form of `onnx` that TensorRT reads, for the block; None where none is needed."""
    if not options.needs_calibration:
        yield None
        return
    from streamseg.compile.quantize import quantize

    with tempfile.TemporaryDirectory(prefix=".streamseg-", dir=folder) as inner:
        path = Path(inner) / "int8.onnx"
        frames = _watched(options, onnx, watcher)
        yield quantize(onnx, path, frames, mixed=options.precision == "mixed", signed=True)


def _watched(options: BuildOptions, onnx: Path, watcher: Watcher) -> Iterator[NDArray[np.uint8]]:
    frames = calibration_frames(options.calibrate, read_info(onnx), options.frames)
    for done, frame in enumerate(frames, start=1):
        watcher.progress("calibrating", done, options.frames)
        yield frame
