"""The engine for every CPU that OpenVINO does not know. Tested in tests/engines/test_conformance.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from streamseg.engine_contract import INPUT_NAME, EngineOutputs
from streamseg.engines.base import BaseEngine
from streamseg.engines.engine_file import EngineFile, OnnxFile, opened_as
from streamseg.errors import ConfigError, EngineError

__all__ = ["OnnxRuntimeEngine"]


class OnnxRuntimeEngine(BaseEngine):
    """An ONNX engine in ONNX Runtime on the CPU, in float32.

    The batch runs inside `submit`, so nothing overlaps with it; `collect` returns at once.
    """

    def __init__(
        self, file: str | Path | EngineFile, *, precision: str = "auto", threads: int | None = None
    ) -> None:
        """Load `file`. Raises EngineError."""
        if precision not in ("auto", "fp32"):
            raise ConfigError(f"precision {precision!r}: onnxruntime has auto and fp32")
        opened = opened_as(OnnxFile, file, "onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(opened.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions derive from Exception alone
            raise EngineError(f"{opened.path}: ONNX Runtime cannot load it ({_reason(error)})") from error
        self._outputs: EngineOutputs | None = None
        super().__init__(opened.info, "onnxruntime", onnxruntime.__version__, "fp32", outputs=opened.outputs)

    def _start(self, frames: NDArray[np.uint8]) -> None:
        try:
            results = self._session.run(list(self.outputs), {INPUT_NAME: frames})
        except Exception as error:
            raise EngineError(
                f"{self.info.model}: ONNX Runtime failed on a batch ({_reason(error)})"
            ) from error
        self._outputs = EngineOutputs(**dict(zip(self.outputs, results, strict=True)))

    def _finish(self) -> EngineOutputs:
        outputs, self._outputs = self._outputs, None
        assert outputs is not None
        return outputs

    def _release(self) -> None:
        self._session = None


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
