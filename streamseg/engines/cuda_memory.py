"""CUDA memory, streams, events and graphs by way of cuda-python alone, with exceptions of our own.

Tested in tests/gpu/test_tensorrt.py.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamseg.errors import EngineError, MissingDependency

try:
    from cuda.bindings import runtime as cudart
except ImportError as error:
    raise MissingDependency.of("cuda-python", "tensorrt", "running a TensorRT engine") from error

__all__ = ["CudaResources", "call", "captured", "cudart", "free_bytes", "gpu_problem", "pinned"]


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result, if it has one, of a function of the CUDA runtime. Raises EngineError with CUDA's own name
    and text for the failure."""
    error, *results = function(*arguments)
    if error != cudart.cudaError_t.cudaSuccess:
        raise EngineError(f"CUDA: {function.__name__} failed ({_described(error)})")
    return results[0] if len(results) == 1 else tuple(results)


def gpu_problem() -> str:
    """Why no GPU can be used; empty when one can."""
    error, count = cudart.cudaGetDeviceCount()
    if error == cudart.cudaError_t.cudaSuccess and count:
        return ""
    _, driver = cudart.cudaDriverGetVersion()
    if not driver:
        return "no NVIDIA driver"
    if error == cudart.cudaError_t.cudaErrorInsufficientDriver:
        _, wanted = cudart.cudaRuntimeGetVersion()
        return f"the NVIDIA driver is for CUDA {_dotted(driver)}, cuda-python for {_dotted(wanted)}"
    return _described(error) if count is None else "no NVIDIA GPU"


def free_bytes() -> int:
    """Free memory of the current GPU. Raises EngineError."""
    free, _ = call(cudart.cudaMemGetInfo)
    return int(free)


def pinned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array in page-locked memory, which lives as long as any view of it. Raises EngineError."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    address = call(cudart.cudaMallocHost, max(size, 1))
    memory = (ctypes.c_uint8 * size).from_address(int(address))
    weakref.finalize(memory, cudart.cudaFreeHost, address).atexit = False
    return np.ctypeslib.as_array(memory).view(dtype).reshape(shape)


def captured(stream: Any, enqueue: Callable[[], None]) -> Any:
    """What `enqueue` puts into `stream`, as a graph to launch; nothing is run. Raises EngineError."""
    # Of this thread alone: other engines may allocate meanwhile in theirs.
    call(cudart.cudaStreamBeginCapture, stream, cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)
    try:
        enqueue()
    except BaseException:
        cudart.cudaStreamEndCapture(stream)  # it is invalid, says so, and the stream is usable again
        raise
    graph = call(cudart.cudaStreamEndCapture, stream)
    try:
        return call(cudart.cudaGraphInstantiate, graph, 0)
    finally:
        call(cudart.cudaGraphDestroy, graph)


class CudaResources:
    """Streams, events, graphs and device memory of one owner; closing frees them, the youngest first."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def stream(self) -> Any:
        """A stream that does not wait for the default one. Raises EngineError."""
        return self._kept(
            call(cudart.cudaStreamCreateWithFlags, cudart.cudaStreamNonBlocking), cudart.cudaStreamDestroy
        )

    def event(self) -> Any:
        """An event without a clock. Raises EngineError."""
        return self._kept(
            call(cudart.cudaEventCreateWithFlags, cudart.cudaEventDisableTiming), cudart.cudaEventDestroy
        )

    def device(self, size: int) -> int:
        """Address of `size` bytes on the GPU, aligned to 256. Raises EngineError."""
        return int(self._kept(call(cudart.cudaMalloc, max(size, 1)), cudart.cudaFree))

    def graph(self, stream: Any, enqueue: Callable[[], None]) -> Any:
        """`captured`, kept. Raises EngineError."""
        return self._kept(captured(stream, enqueue), cudart.cudaGraphExecDestroy)

    def close(self) -> None:
        """Free everything; idempotent. Raises EngineError when that fails, after the rest was freed."""
        self._stack.close()

    def _kept(self, handle: Any, release: Callable[..., Any]) -> Any:
        self._stack.callback(call, release, handle)
        return handle


def _described(error: Any) -> str:
    _, name = cudart.cudaGetErrorName(error)
    _, text = cudart.cudaGetErrorString(error)
    return f"{name.decode()}: {text.decode()}"


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
