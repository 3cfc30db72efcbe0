"""The engine for every CPU that OpenVINO does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from streamseg.engine_contract import INPUT_NAME, OUTPUT_NAMES, EngineOutputs
from streamseg.engines.base import BaseEngine
from streamseg.engines.locate import read_info
from streamseg.errors import ConfigError, EngineError

__all__ = ["OnnxRuntimeEngine"]


class OnnxRuntimeEngine(BaseEngine):
    """An ONNX engine in ONNX Runtime on the CPU, in float32.

    The batch runs inside `submit`, so nothing overlaps with it; `collect` returns at once.
    """

    def __init__(self, path: str | Path, *, precision: str = "auto", threads: int | None = None) -> None:
        """Load `path`. Raises EngineError."""
        if precision not in ("auto", "fp32"):
            raise ConfigError(f"precision {precision!r}: onnxruntime has auto and fp32")
        info = read_info(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions derive from Exception alone
            raise EngineError(f"{path}: ONNX Runtime cannot load it ({_reason(error)})") from error
        self._outputs: EngineOutputs | None = None
        super().__init__(info, f"onnxruntime {onnxruntime.__version__} {info.arithmetic('FP32')}")

    def _start(self, frames: NDArray[np.uint8]) -> None:
        try:
            self._outputs = EngineOutputs(*self._session.run(list(OUTPUT_NAMES), {INPUT_NAME: frames}))
        except Exception as error:
            raise EngineError(
                f"{self.info.model}: ONNX Runtime failed on a batch ({_reason(error)})"
            ) from error

    def _finish(self) -> EngineOutputs:
        outputs, self._outputs = self._outputs, None
        assert outputs is not None
        return outputs

    def _release(self) -> None:
        self._session = None


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
