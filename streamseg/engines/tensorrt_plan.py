"""A TensorRT plan in memory, and its execution contexts: one for each batch size, ready to launch.

Tested in tests/engines/test_tensorrt_engine.py.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from streamseg.engine_contract import INPUT_NAME, OPTIONAL_OUTPUTS, OUTPUT_NAMES
from streamseg.engines.cuda_memory import CudaResources, call, cudart
from streamseg.engines.tensorrt_api import is_rtx, new_logger, tensorrt_module
from streamseg.errors import EngineError, NotAnEngine

__all__ = ["DTYPES", "BoundContext", "Plan", "Shape"]

Shape = tuple[int, ...]

DTYPES: dict[str, np.dtype[Any]] = {
    INPUT_NAME: np.dtype(np.uint8),
    "boxes": np.dtype(np.float32),
    "scores": np.dtype(np.float32),
    "classes": np.dtype(np.int32),
    "masks": np.dtype(np.uint8),
    "count": np.dtype(np.int32),
    "semantic": np.dtype(np.uint8),
    "segments": np.dtype(np.uint8),
}
"""The contract's tensors."""
DTYPE_NAMES = {"uint8": "UINT8", "float32": "FLOAT", "int32": "INT32"}
"""What TensorRT calls them."""
MAKE_ONE = "build one with: streamseg build ENGINE.onnx"


class Plan:
    """An engine file as TensorRT holds it. All its contexts share one piece of memory for what lies between
    input and outputs, so they must run one after the other."""

    def __init__(self, path: Path, threads: int | None, resources: CudaResources) -> None:
        """Read `path`; `threads`: the most that TensorRT may use of the host's. Raises EngineError, and
        NotAnEngine for a plan of something else."""
        self.path = path
        self._trt = tensorrt_module()
        self._logger = new_logger(self._trt)
        self._runtime = self._made_runtime(threads)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise self.failure("TensorRT cannot read it")
        self._output_names = self._checked_outputs()
        self._size = int(self._engine.device_memory_size_v2)
        self._scratch = resources.device(self._size)
        self._config = self._runtime_config()
        self._stream = resources.stream()
        least, _, most = self._engine.get_tensor_profile_shape(INPUT_NAME, 0)
        self.batches: tuple[int, int] = (least[0], most[0])
        """The least and the largest batch."""
        self.input_hw: tuple[int, int] = (most[1], most[2])

    def context(self, batch: int) -> Any:
        """An execution context for `batch` frames that lacks nothing but addresses. Raises EngineError."""
        context = self._engine.create_execution_context(self._config)
        if context is None:
            raise self.failure("no execution context, likely for want of memory on the GPU")
        if context.active_optimization_profile != 0:
            done = context.set_optimization_profile_async(0, int(self._stream))
            self._require(done, "its profile cannot be set")
            call(cudart.cudaStreamSynchronize, self._stream)
        context.set_device_memory(self._scratch, self._size)
        shape = (batch, *self.input_hw, 3)
        self._require(context.set_input_shape(INPUT_NAME, shape), f"it does not take {batch} frames")
        return context

    def output_shapes(self) -> dict[str, Shape]:
        """The contract's outputs for one frame: their shapes without the batch. Raises EngineError."""
        context = self.context(self.batches[0])
        shapes = {name: tuple(context.get_tensor_shape(name)) for name in self._output_names}
        if any(size < 0 for shape in shapes.values() for size in shape):
            raise NotAnEngine(f"{self.path}: shapes that depend on the data, {shapes}; {MAKE_ONE}")
        return {name: shape[1:] for name, shape in shapes.items()}

    def failure(self, what: str) -> EngineError:
        """`what` went wrong with this file, and TensorRT's last words about it."""
        words = " ".join(self._logger.errors[-1].split())[:300] if self._logger.errors else ""
        return EngineError(f"{self.path}: {what}" + (f" ({words})" if words else ""))

    def close(self) -> None:
        """Let go of everything; the contexts must be gone."""
        self._config = self._engine = self._runtime = None

    def _made_runtime(self, threads: int | None) -> Any:
        try:
            runtime = self._trt.Runtime(self._logger)
        except (TypeError, RuntimeError) as error:  # pybind11's words for a constructor that returns nothing
            raise self.failure("TensorRT does not start") from error
        if threads is not None:
            runtime.max_threads = threads
        return runtime

    def _runtime_config(self) -> Any:
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(
            self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        if is_rtx(self._trt):
            # The kernels of a shape are compiled before its first frame, not after it behind our back.
            config.dynamic_shapes_kernel_specialization_strategy = (
                self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
            )
        return config

    def _checked_outputs(self) -> tuple[str, ...]:
        """Names of its outputs, in the contract's order."""
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        found = {name: self._engine.get_tensor_dtype(name).name for name in names}
        outputs = (*OUTPUT_NAMES, *(name for name in OPTIONAL_OUTPUTS if name in found))
        if found != {name: DTYPE_NAMES[DTYPES[name].name] for name in (INPUT_NAME, *outputs)}:
            raise NotAnEngine(f"{self.path}: its tensors are not those of the engine contract; {MAKE_ONE}")
        return outputs

    def _require(self, done: bool, otherwise: str) -> None:
        if not done:
            raise self.failure(otherwise)


class BoundContext:
    """A context with the addresses of its tensors, launched kernel by kernel or replayed as a CUDA graph.

    A graph holds the context's state at the time of its capture, so each has a context to itself, which
    nobody changes afterwards.
    """

    def __init__(self, plan: Plan, batch: int, addresses: Mapping[str, int], stream: Any) -> None:
        """Tensors of `batch` frames lie at `addresses`, on the GPU. Raises EngineError."""
        self._plan, self._stream = plan, stream
        self._context: Any = plan.context(batch)
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise plan.failure(f"address of {name} refused")
        try:
            missing = self._context.infer_shapes()
        except RuntimeError as error:
            raise plan.failure("its shapes cannot be worked out") from error
        if missing:
            raise plan.failure(f"shapes of {', '.join(missing)} are open")
        self._graph: Any = None

    def capture(self, resources: CudaResources) -> None:
        """Replay from now on. Runs the batch once on whatever the input holds. Raises EngineError."""
        # The first run, and the first after a change of shape, sets things up that cannot be captured.
        self._enqueue()
        call(cudart.cudaStreamSynchronize, self._stream)
        capturable = getattr(self._context, "is_stream_capturable", None)  # TensorRT-RTX alone has it
        if capturable is not None and not capturable(int(self._stream)):
            logging.getLogger("streamseg.tensorrt").warning(
                "%s cannot be captured in a CUDA graph: slower by its launches", self._plan.path
            )
            return
        self._graph = resources.graph(self._stream, self._enqueue)

    def launch(self) -> None:
        """Put the batch into the stream. Raises EngineError."""
        if self._graph is None:
            self._enqueue()
        else:
            call(cudart.cudaGraphLaunch, self._graph, self._stream)

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(int(self._stream)):
            raise self._plan.failure("TensorRT failed on a batch")
