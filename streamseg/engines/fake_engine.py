"""An engine that computes nothing: for tests, and for measuring everything beside the engine.

Tested in tests/engines/test_conformance.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.base import BaseEngine

__all__ = ["FakeEngine"]


class FakeEngine(BaseEngine):
    """Emulates a device of one queue that takes `latency_s` for a batch.

    `outputs` are given as they are, or a function makes them from the frames, (B, h, w, 3) uint8 BGR,
    inside `submit`. A batch begins when it is submitted or when the one before ends, whichever is later;
    `collect` sleeps until it has ended, so the host is as free meanwhile as beside a GPU.
    """

    def __init__(
        self,
        info: EngineInfo,
        outputs: EngineOutputs | Callable[[NDArray[np.uint8]], EngineOutputs],
        *,
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(info, "fake", "", "fp32", text=f"fake {latency_s * 1e3:g} ms")
        self._make = outputs if callable(outputs) else lambda _: outputs
        self._latency_s = latency_s
        self._ends_at = 0.0
        self._outputs: EngineOutputs | None = None

    def _start(self, frames: NDArray[np.uint8]) -> None:
        self._ends_at = max(time.monotonic(), self._ends_at) + self._latency_s
        self._outputs = self._make(frames)

    def _finish(self) -> EngineOutputs:
        time.sleep(max(0.0, self._ends_at - time.monotonic()))
        outputs, self._outputs = self._outputs, None
        assert outputs is not None
        return outputs

    def _release(self) -> None:
        self._outputs = None
