"""The fastest engine without a GPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import INPUT_NAME, OUTPUT_NAMES, EngineOutputs
from streamseg.engines.base import BaseEngine
from streamseg.engines.locate import read_info
from streamseg.engines.openvino_deform import deform_conv_extension
from streamseg.engines.openvino_quiet import openvino
from streamseg.errors import ConfigError, EngineError
from streamseg.zoo.cache import user_cache_dir

__all__ = ["OpenVinoEngine", "default_cache_dir"]

PRECISIONS = {"bf16": "bf16", "fp32": "f32"}


class OpenVinoEngine(BaseEngine):
    """An ONNX engine in OpenVINO on the CPU.

    `submit` returns at once and the batch runs in OpenVINO's threads until `collect`. Outputs are views
    of the request's memory: the next submit overwrites them.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        precision: str = "auto",
        threads: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Compile `path`, or take it from the cache (`cache_dir`, by default the user's).

        `precision`: `auto` is `bf16` where the CPU has it and `fp32` elsewhere. Raises EngineError.
        """
        info = read_info(path)
        self._core: Any = openvino.Core()
        self._core.add_extension(deform_conv_extension())
        chosen = _precision(self._core, precision)
        self._path = path
        self._options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[chosen],
            "CACHE_DIR": str(_made(cache_dir or default_cache_dir()) or ""),
        }
        if threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = threads
        release = openvino.get_version().split("-")[0]
        super().__init__(info, f"openvino {release} {info.arithmetic(chosen.upper())}")
        self._single: Any = self._compiled(batch=1)
        self._any: Any = None
        self._request: Any = self._single
        self._frames: NDArray[np.uint8] | None = None

    def _compiled(self, batch: int | None) -> Any:
        """A request for exactly `batch` frames, or any number.

        Known shapes spare OpenVINO a tenth of the time of the compact engine (29 instead of 32 ms of CPU in
        BF16, 17 instead of 22 for the tail of YOLACT-R50 alone), and one frame at a time is the usual case.
        """
        try:
            model = self._core.read_model(str(self._path))
            if batch is not None:
                model.reshape({INPUT_NAME: [batch, *self.info.input_hw, 3]})
            return self._core.compile_model(model, "CPU", self._options).create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"{self._path}: OpenVINO cannot load it ({_reason(error)})") from error

    def _start(self, frames: NDArray[np.uint8]) -> None:
        if len(frames) > 1 and self._any is None:
            self._any = self._compiled(batch=None)
        self._request = self._any if len(frames) > 1 else self._single
        try:
            # OpenVINO reads the array's memory without owning it: it must live until the batch is done.
            self._frames = frames
            self._request.set_tensor(INPUT_NAME, openvino.Tensor(frames, shared_memory=True))
            self._request.start_async()
        except RuntimeError as error:
            raise EngineError(f"{self.info.model}: OpenVINO refused a batch ({_reason(error)})") from error

    def _finish(self) -> EngineOutputs:
        try:
            self._request.wait()
            return EngineOutputs(*(self._request.get_tensor(name).data for name in OUTPUT_NAMES))
        except RuntimeError as error:
            raise EngineError(f"{self.info.model}: OpenVINO failed on a batch ({_reason(error)})") from error

    def _release(self) -> None:
        self._core = self._request = self._single = self._any = self._frames = None


def default_cache_dir() -> Path:
    """Where compiled models are kept: the user's cache folder."""
    return user_cache_dir() / "openvino"


def _made(folder: Path) -> Path | None:
    """The folder, created; None where nothing may be written, which costs only time at the next start."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _precision(core: openvino.Core, wanted: str) -> str:
    has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if wanted == "auto":
        return "bf16" if has_bf16 else "fp32"
    if wanted not in PRECISIONS:
        raise ConfigError(f"precision {wanted!r}: openvino has auto, {', '.join(PRECISIONS)}")
    if wanted == "bf16" and not has_bf16:
        raise EngineError("precision bf16: this CPU does not have it; use auto or fp32")
    return wanted


def _reason(error: RuntimeError) -> str:
    """The last line that says something; those before it are where in OpenVINO's sources it happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
