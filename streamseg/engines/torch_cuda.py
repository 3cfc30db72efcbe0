"""Batches through a torch module on the GPU: page-locked copies, one CUDA graph for each batch size.

Tested in tests/gpu/test_torch.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from streamseg.engine_contract import OUTPUT_NAMES, EngineOutputs
from streamseg.errors import EngineError

__all__ = ["CudaRunner"]

WARM_UP = 3
"""Runs before a capture: cuDNN tries its algorithms and cuBLAS takes its memory."""


Outputs = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One batch size: where its frames go on the GPU, and what runs them."""

    frames: Tensor
    run: Callable[[], Outputs]
    """Its outputs, on the GPU, stay until the next run of any size."""


class CudaRunner:
    """Runs `module`, frames (B, h, w, 3) uint8 → the contract's outputs, on a stream of its own."""

    def __init__(
        self,
        module: nn.Module,
        input_hw: tuple[int, int],
        *,
        tf32: bool,
        graphs: bool,
        compiled: bool,
        names: Sequence[str] = OUTPUT_NAMES,
    ) -> None:
        """Takes `module` to the GPU. `tf32` lets float32 convolutions round their inputs to 11 bits; `graphs`
        replays the kernels of a batch as one CUDA graph; `compiled` hands the module to torch.compile, a
        minute for each batch size, and eight sizes at most; `names` of what it gives, in order. Raises
        EngineError."""
        self._input_hw, self._names, self._tf32, self._graphs = input_hw, names, tf32, graphs
        with translated("torch cannot use the GPU"):
            self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._module: nn.Module | None = module.cuda()
            torch.cuda.synchronize()  # the weights were copied in another stream
            self._pool = torch.cuda.graph_pool_handle()
        if compiled:
            self._module.compile(dynamic=False)
        self._prepared: dict[int, Prepared] = {}
        self._pinned = torch.empty(0)
        self._results: list[Outputs] = [(), ()]
        self._turn = self._length = 0

    def start(self, frames: NDArray[np.uint8]) -> None:
        """Put a batch into the stream. Raises EngineError."""
        n = self._length = len(frames)
        self._turn = 1 - self._turn
        with translated("torch failed on a batch"), torch.inference_mode(), torch.cuda.stream(self.stream):
            prepared = self.prepared(n)
            self._pinned[:n].copy_(torch.from_numpy(frames))
            prepared.frames.copy_(self._pinned[:n], non_blocking=True)
            outputs = prepared.run()
            for host, device in zip(self._results[self._turn], outputs, strict=True):
                host[:n].copy_(device, non_blocking=True)

    def finish(self) -> EngineOutputs:
        """Wait for it; the outputs stay until the batch after the next starts. Raises EngineError."""
        with translated("torch failed on a batch"):
            self.stream.synchronize()
        arrays = (host[: self._length].numpy() for host in self._results[self._turn])
        return EngineOutputs(**dict(zip(self._names, arrays, strict=True)))

    def close(self) -> None:
        """Free everything and give it back to the driver."""
        self._prepared.clear()
        self._module = None
        self._results, self._pinned = [(), ()], torch.empty(0)
        torch.cuda.empty_cache()

    def prepared(self, n: int) -> Prepared:
        """What runs batches of `n`; call it, and its `run`, in inference mode and in this runner's stream."""
        if n not in self._prepared:
            self._prepared[n] = self._prepare(n)
        return self._prepared[n]

    def _prepare(self, n: int) -> Prepared:
        frames = torch.zeros((n, *self._input_hw, 3), dtype=torch.uint8, device="cuda")
        for _ in range(WARM_UP):
            outputs = self._run(frames)
        self._reserve(n, outputs)
        if not self._graphs:
            return Prepared(frames, lambda: self._run(frames))
        graph, outputs = self._captured(frames)

        def replay() -> Outputs:
            graph.replay()
            return outputs

        return Prepared(frames, replay)

    def _run(self, frames: Tensor) -> Outputs:
        assert self._module is not None
        # The fastest algorithms that cuDNN finds by trying.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=self._tf32):
            return tuple(self._module(frames))

    def _captured(self, frames: Tensor) -> tuple[torch.cuda.CUDAGraph, Outputs]:
        """All graphs share one pool of memory: they replay in one stream, and what one leaves there is copied
        out before the next."""
        self.stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Of this thread alone: other engines may allocate meanwhile in theirs.
        mode = "thread_local"
        with torch.cuda.graph(graph, pool=self._pool, stream=self.stream, capture_error_mode=mode):
            outputs = self._run(frames)
        return graph, outputs

    def _reserve(self, n: int, outputs: Outputs) -> None:
        """Page-locked memory for `n` frames and two sets of results, which smaller batches use too."""
        if len(self._pinned) >= n:
            return
        self._pinned = torch.empty((n, *self._input_hw, 3), dtype=torch.uint8, pin_memory=True)
        self._results = [
            tuple(torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in outputs) for _ in range(2)
        ]


@contextmanager
def translated(what: str) -> Iterator[None]:
    """torch's exceptions, of which running out of memory is one, as EngineError."""
    try:
        yield
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch built without CUDA
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise EngineError(f"{what} ({words[0][:300]})") from error
