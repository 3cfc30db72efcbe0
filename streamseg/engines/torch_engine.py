"""The reference: the network itself, in float32, as the export is checked against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from streamseg.engines.base import BaseEngine
from streamseg.engines.contract import EngineInfo, EngineOutputs
from streamseg.errors import ConfigError, EngineError
from streamseg.export.module import EngineModule
from streamseg.models.checkpoint import load_checkpoint

__all__ = ["TorchEngine", "info_from_checkpoint"]


class TorchEngine(BaseEngine):
    """A streamseg checkpoint (.pth) in torch. The batch runs inside `submit`; nothing overlaps with it."""

    def __init__(self, path: str | Path, *, precision: str = "auto", threads: int | None = None) -> None:
        """Load `path`. `threads` sets torch's number for the whole process. Raises CheckpointError."""
        if precision not in ("auto", "fp32"):
            raise ConfigError(f"precision {precision!r}: torch has auto and fp32")
        if threads is not None:
            torch.set_num_threads(threads)
        self._module: EngineModule | None = EngineModule(load_checkpoint(path))
        self._outputs: EngineOutputs | None = None
        super().__init__(self._module.info(checkpoint=Path(path).name), f"torch {torch.__version__} FP32")

    def _start(self, frames: NDArray[np.uint8]) -> None:
        assert self._module is not None
        try:
            with torch.inference_mode():
                tensors = self._module(torch.from_numpy(frames))
        except RuntimeError as error:
            raise EngineError(f"{self.info.model}: torch failed on a batch ({error})") from error
        self._outputs = EngineOutputs(*(tensor.numpy() for tensor in tensors))

    def _finish(self) -> EngineOutputs:
        outputs, self._outputs = self._outputs, None
        assert outputs is not None
        return outputs

    def _release(self) -> None:
        self._module = None


def info_from_checkpoint(path: Path) -> EngineInfo:
    """What a checkpoint would say as an engine. Raises CheckpointError."""
    return EngineModule(load_checkpoint(path)).info(checkpoint=path.name)
