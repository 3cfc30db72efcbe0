"""What TensorRT measured of its tactics, kept from one build to the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamseg.engines.machine import this_machine
from streamseg.engines.tensorrt_api import is_rtx
from streamseg.errors import EngineError
from streamseg.files import user_cache_dir, write_bytes

__all__ = ["kept_timings"]


@contextmanager
def kept_timings(trt: Any, config: Any, cache_dir: Path | None) -> Iterator[None]:
    """Give the builder's `config` the timings of earlier builds for this GPU and version; keep the new ones.

    TensorRT-RTX measures nothing when it builds and has no such cache. A file that TensorRT does not take, of
    another driver or damaged, is replaced. Raises EngineError where the folder cannot be written.
    """
    if is_rtx(trt):
        yield
        return
    path = _path(cache_dir or user_cache_dir())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(
            f"{path.parent}: cannot be written ({error.strerror}); choose --cache FOLDER"
        ) from error
    stored = path.read_bytes() if path.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(stored), ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    yield
    write_bytes(path, memoryview(config.get_timing_cache().serialize()))


def _path(cache_dir: Path) -> Path:
    here = this_machine()
    name = f"{here.tensorrt}-{here.gpu}-{here.compute_capability}".replace(" ", "_").replace("/", "_")
    return cache_dir / "tensorrt" / f"{name}.timing"
