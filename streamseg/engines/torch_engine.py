"""The network itself in torch: the reference that exports are checked against, and an engine for GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from streamseg.engine_contract import EngineOutputs
from streamseg.engines.base import BaseEngine
from streamseg.engines.engine_file import CheckpointFile, EngineFile, opened_as
from streamseg.errors import ConfigError, EngineError
from streamseg.models.engine_module import EngineModule

__all__ = ["TorchEngine"]

GPU_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


class Runner(Protocol):
    """How batches go through the module on one kind of device."""

    def start(self, frames: NDArray[np.uint8]) -> None: ...

    def finish(self) -> EngineOutputs: ...

    def close(self) -> None: ...


class TorchEngine(BaseEngine):
    """A streamseg checkpoint (.pth) in torch.

    On the CPU it is the reference, float32, and the batch runs inside `submit`. On a GPU the network is
    folded and in half precision, `submit` returns while the batch is under way, and two sets of outputs take
    turns: those of a batch stay while the next is under way.
    """

    def __init__(
        self,
        file: str | Path | EngineFile,
        *,
        precision: str = "auto",
        threads: int | None = None,
        device: str = "auto",
        graphs: bool = True,
        compiled: bool = False,
    ) -> None:
        """Load `file`. `device`: `cpu`, `cuda`, or `auto`, which is `cuda` where torch sees a GPU.

        `precision`: `auto` is fp16 on a GPU, which has bf16 and fp32 too, and fp32 on the CPU. `threads` sets
        torch's number for the whole process. On a GPU: `graphs` replays the kernels of a batch size as one
        CUDA graph, `compiled` uses torch.compile. Raises CheckpointError, EngineError, and ConfigError for a
        precision that the device has not.
        """
        on_gpu = _on_gpu(device)
        chosen = _precision(precision, on_gpu)
        if compiled and not on_gpu:
            raise ConfigError("compiled: torch is the reference on the CPU and runs as it is")
        if threads is not None:
            torch.set_num_threads(threads)
        opened = opened_as(CheckpointFile, file, "torch")
        module = opened.take_module()
        kind = f"{chosen.upper()} compiled" if compiled else chosen.upper()
        where = f"{torch.cuda.get_device_name()} {kind}" if on_gpu else kind
        text = f"torch {torch.__version__} {where}"
        super().__init__(opened.info, "torch", torch.__version__, chosen, text=text)
        self._runner: Runner | None = CpuRunner(module)
        if on_gpu:
            self._runner = _gpu_runner(module, chosen, graphs=graphs, compiled=compiled)

    def _start(self, frames: NDArray[np.uint8]) -> None:
        assert self._runner is not None
        try:
            self._runner.start(frames)
        except EngineError as error:
            raise EngineError(f"{self.info.model}: {error}") from error

    def _finish(self) -> EngineOutputs:
        assert self._runner is not None
        return self._runner.finish()

    def _release(self) -> None:
        if self._runner is not None:
            self._runner.close()
        self._runner = None


class CpuRunner:
    """The module as it is."""

    def __init__(self, module: EngineModule) -> None:
        self._module = module
        self._outputs: EngineOutputs | None = None

    def start(self, frames: NDArray[np.uint8]) -> None:
        """Run the batch. Raises EngineError."""
        try:
            with torch.inference_mode():
                tensors = self._module(torch.from_numpy(frames))
        except RuntimeError as error:
            raise EngineError(f"torch failed on a batch ({error})") from error
        arrays = (tensor.numpy() for tensor in tensors)
        self._outputs = EngineOutputs(**dict(zip(self._module.output_names, arrays, strict=True)))

    def finish(self) -> EngineOutputs:
        """Its results."""
        outputs, self._outputs = self._outputs, None
        assert outputs is not None
        return outputs

    def close(self) -> None:
        """Nothing beyond what goes with the object."""


def _on_gpu(device: str) -> bool:
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device {device!r}: torch has auto, cpu and cuda")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise EngineError("device cuda: torch sees no GPU; use cpu")
    return there and device != "cpu"


def _precision(wanted: str, on_gpu: bool) -> str:
    if on_gpu:
        if wanted not in ("auto", *GPU_DTYPES):
            raise ConfigError(f"precision {wanted!r}: torch on a GPU has auto, {', '.join(GPU_DTYPES)}")
        return "fp16" if wanted == "auto" else wanted
    if wanted not in ("auto", "fp32"):
        raise ConfigError(f"precision {wanted!r}: torch on the CPU has auto and fp32")
    return "fp32"


def _gpu_runner(module: EngineModule, precision: str, *, graphs: bool, compiled: bool) -> Runner:
    from streamseg.engines.torch_cuda import CudaRunner
    from streamseg.engines.torch_cuda_module import GpuModule

    fast = GpuModule(module, GPU_DTYPES[precision])
    # fp32 is what results are compared with, so it is float32 throughout.
    tf32 = precision != "fp32"
    return CudaRunner(
        fast,
        module.model.config.input_hw,
        tf32=tf32,
        graphs=graphs,
        compiled=compiled,
        names=module.output_names,
    )
