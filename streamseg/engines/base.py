"""What all engines do alike: check their feeds and their first results, keep submit and collect in step,
close once. Tested in tests/engines/test_conformance.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import (
    INPUT_NAME,
    OUTPUT_NAMES,
    EngineInfo,
    EngineOutputs,
    TensorSpec,
    contract_tensors,
)
from streamseg.engines.output_check import outputs_problem
from streamseg.errors import EngineError

__all__ = ["BaseEngine"]


class BaseEngine(ABC):
    """The Engine protocol over three hooks. Not thread-safe: construct and use it in one thread."""

    def __init__(
        self,
        info: EngineInfo,
        name: str,
        version: str,
        precision: str,
        *,
        text: str = "",
        outputs: Mapping[str, TensorSpec] | None = None,
    ) -> None:
        """`name`, `version` and `precision` are the protocol's; `text` is its `runtime` where more is to be
        said than these. `outputs`: the file's; left out, the contract's without the optional ones."""
        self.info = info
        self.runtime_name, self.runtime_version, self.precision = name, version, precision
        self.runtime = text or f"{name} {version} {info.arithmetic(precision.upper())}"
        tensors = contract_tensors(info)
        self.inputs: Mapping[str, TensorSpec] = {INPUT_NAME: tensors[INPUT_NAME]}
        self.outputs: Mapping[str, TensorSpec] = outputs or {name: tensors[name] for name in OUTPUT_NAMES}
        self._open = True
        self._under_way = 0
        self._checked = False

    @abstractmethod
    def _start(self, frames: NDArray[np.uint8]) -> None:
        """Begin a batch that has been checked and is C-contiguous. Raises EngineError."""

    @abstractmethod
    def _finish(self) -> EngineOutputs:
        """Wait for it. Raises EngineError."""

    @abstractmethod
    def _release(self) -> None:
        """Free everything; called once."""

    def submit(self, frames: NDArray[np.uint8]) -> None:
        """Begin one batch (B, h, w, 3) uint8 BGR; `frames` must stay unchanged until its collect."""
        self._require_open()
        if self._under_way:
            raise EngineError("submit: a batch is under way already; collect it first")
        check_frames(frames, self.info)
        self._start(np.ascontiguousarray(frames))
        self._under_way = len(frames)

    def collect(self) -> EngineOutputs:
        """The results of the batch submitted; the next submit may reuse their memory. Raises EngineError,
        also where the engine's first results are not what the contract says."""
        self._require_open()
        if not self._under_way:
            raise EngineError("collect: no batch is under way; submit one first")
        batch, self._under_way = self._under_way, 0
        outputs = self._finish()
        if not self._checked:
            problem = outputs_problem(outputs, batch, self.info)
            if problem:
                raise EngineError(f"{self.info.model} ({self.runtime}): {problem}; export it again")
            self._checked = True
        return outputs

    def infer(self, frames: NDArray[np.uint8]) -> EngineOutputs:
        """Run one batch (B, h, w, 3) uint8 BGR; the next call may reuse the outputs' memory."""
        self.submit(frames)
        return self.collect()

    def close(self) -> None:
        """Free everything; idempotent. A batch under way is waited for and forgotten."""
        if not self._open:
            return
        self._open = False
        try:
            if self._under_way:
                self._finish()
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self) -> None:
        if not self._open:
            raise EngineError(f"{self.info.model} ({self.runtime}): the engine is closed")


def check_frames(frames: NDArray[np.uint8], info: EngineInfo) -> None:
    """Raise EngineError unless `frames` is what the engine takes."""
    want = (*info.input_hw, 3)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != want or not len(frames):
        raise EngineError(
            f"{info.model}: frames must be uint8 (B, {want[0]}, {want[1]}, 3) with B ≥ 1,"
            f" got {frames.dtype} {frames.shape}"
        )
