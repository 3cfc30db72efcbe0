"""The fastest engine without a GPU. Tested in tests/engines: test_openvino_engine.py, test_conformance.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import INPUT_NAME, EngineOutputs
from streamseg.engines.base import BaseEngine
from streamseg.engines.compiled_models import default_cache_dir, model_folder
from streamseg.engines.engine_file import EngineFile, OnnxFile, opened_as
from streamseg.engines.openvino_deform import deform_conv_extension
from streamseg.engines.openvino_quiet import openvino
from streamseg.errors import ConfigError, EngineError

__all__ = ["OpenVinoEngine"]

PRECISIONS = {"bf16": "bf16", "fp32": "f32"}

# One for the whole process, never let go. The CPU plugin of a Core gives the thread that uses it first a
# stack for signal handlers, and unmaps it when it goes, even where a later Core's is in force, which then
# restores it. So Cores that did not go in reverse order left a thread without a stack for them: the next
# Ctrl-C was a SIGSEGV (2026.4).
CORE: Any = openvino.Core()
CORE.add_extension(deform_conv_extension())


class OpenVinoEngine(BaseEngine):
    """An ONNX engine in OpenVINO on the CPU.

    `submit` returns at once and the batch runs in OpenVINO's threads until `collect`. Outputs are views
    of the request's memory: the next submit overwrites them.
    """

    def __init__(
        self,
        file: str | Path | EngineFile,
        *,
        precision: str = "auto",
        threads: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        """Compile `file`, or take it from the cache (`cache_dir`, by default the user's).

        `precision`: `auto` is `bf16` where the CPU has it and `fp32` elsewhere. Raises EngineError.
        """
        opened = opened_as(OnnxFile, file, "openvino")
        chosen = _precision(precision)
        self._file, self._cache_dir = opened, cache_dir or default_cache_dir()
        self._options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[chosen],
        }
        if threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = threads
        release = openvino.get_version().split("-")[0]
        super().__init__(opened.info, "openvino", release, chosen, outputs=opened.outputs)
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
            model = CORE.read_model(str(self._file.path))
            if batch is not None:
                model.reshape({INPUT_NAME: [batch, *self.info.input_hw, 3]})
            options = self._options | {"CACHE_DIR": self._folder(batch)}
            return CORE.compile_model(model, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"{self._file.path}: OpenVINO cannot load it ({_reason(error)})") from error

    def _folder(self, batch: int | None) -> str:
        """For the compiled model; empty, which keeps none, where the file's bytes are not all there is to
        it."""
        if self._file.has_external_data:
            return ""
        made_of = self._file.sha256, batch, self.precision, openvino.get_version()
        return str(model_folder(self._cache_dir, *made_of) or "")

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
            return EngineOutputs(**{name: self._request.get_tensor(name).data for name in self.outputs})
        except RuntimeError as error:
            raise EngineError(f"{self.info.model}: OpenVINO failed on a batch ({_reason(error)})") from error

    def _release(self) -> None:
        self._request = self._single = self._any = self._frames = None


def _precision(wanted: str) -> str:
    has_bf16 = "BF16" in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
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
