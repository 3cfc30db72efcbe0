"""The tiny network as every runtime wants it, and a CUDA to run the TensorRT runtime on without a GPU."""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.engine_contract import INPUT_NAME

if TYPE_CHECKING:
    from streamseg.models.yolact.yolact import Yolact


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model: Yolact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from streamseg.models.weights.checkpoint import save_checkpoint

    path = tmp_path_factory.mktemp("tiny") / "tiny.pth"
    save_checkpoint(tiny_model, tiny_model.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def pictures() -> NDArray[np.uint8]:
    """(3, 64, 96, 3): noise, soft blobs, black."""
    from streamseg.export.check import sample_frames

    return np.concatenate([sample_frames((64, 96)), np.zeros((1, 64, 96, 3), np.uint8)])


class Queue:
    """A stream: operations in order, run when waited for."""

    def __init__(self) -> None:
        self.operations: list[Callable[[], None]] = []
        self.done = 0
        self.recording: list[Callable[[], None]] | None = None

    def put(self, operation: Callable[[], None]) -> None:
        (self.operations if self.recording is None else self.recording).append(operation)

    def run(self, until: int | None = None) -> None:
        while self.done < (len(self.operations) if until is None else until):
            self.done += 1
            self.operations[self.done - 1]()


class SimulatedCuda:
    """As much of cuda.bindings.runtime as the engine uses; everything else is the real module's.

    Device memory lies in ordinary arrays, and what is in a stream runs only when somebody waits for it, so
    whatever is read or overwritten too early comes out wrong.
    """

    def __init__(self, real: Any) -> None:
        self.real = real
        self.live: dict[int, Any] = {}
        self.launches = 0
        self.refuse = ""
        self._next = 1

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        real = getattr(self.real, name)
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", name.removeprefix("cuda")).lower()
        mine = getattr(type(self), "do_" + words, None)
        if mine is None:
            return real

        def function(*arguments: Any) -> tuple[Any, ...]:
            if name == self.refuse:
                return (self.real.cudaError_t.cudaErrorMemoryAllocation, None)
            return (self.real.cudaError_t.cudaSuccess, *mine(self, *arguments))

        function.__name__ = name
        return function

    def keep(self, thing: Any) -> tuple[int]:
        handle = self._next
        self._next += 1
        self.live[handle] = thing
        return (handle,)

    def drop(self, handle: int) -> tuple[()]:
        del self.live[handle]
        return ()

    def allocate(self, size: int) -> tuple[int]:
        memory = (ctypes.c_uint8 * size)()
        address = ctypes.addressof(memory)
        self.live[address] = memory
        return (address,)

    def do_get_device_count(self) -> tuple[int]:
        return (1,)

    do_malloc = do_malloc_host = allocate
    do_free = do_free_host = drop
    do_stream_destroy = do_event_destroy = do_graph_destroy = do_graph_exec_destroy = drop

    def do_stream_create_with_flags(self, flags: int) -> tuple[int]:
        assert flags == self.real.cudaStreamNonBlocking
        return self.keep(Queue())

    def do_event_create_with_flags(self, flags: int) -> tuple[int]:
        return self.keep(SimpleNamespace(queue=None, position=0))

    def do_event_record(self, event: int, stream: int) -> tuple[()]:
        queue = self.live[stream]
        self.live[event].queue, self.live[event].position = queue, len(queue.operations)
        return ()

    def do_stream_wait_event(self, stream: int, event: int, flags: int) -> tuple[()]:
        queue, position = self.live[event].queue, self.live[event].position
        self.live[stream].put(lambda: queue.run(position))
        return ()

    def do_stream_synchronize(self, stream: int) -> tuple[()]:
        assert self.live[stream].recording is None, "waited within a capture"
        self.live[stream].run()
        return ()

    def do_memcpy_async(self, to: int, source: int, size: int, kind: Any, stream: int) -> tuple[()]:
        assert kind != self.real.cudaMemcpyKind.cudaMemcpyDefault
        self.live[stream].put(lambda: ctypes.memmove(to, source, size) and None)
        return ()

    def do_stream_begin_capture(self, stream: int, mode: Any) -> tuple[()]:
        self.live[stream].recording = []
        return ()

    def do_stream_end_capture(self, stream: int) -> tuple[int]:
        recorded, self.live[stream].recording = self.live[stream].recording, None
        return self.keep(recorded)

    def do_graph_instantiate(self, graph: int, flags: int) -> tuple[int]:
        return self.keep(list(self.live[graph]))

    def do_graph_launch(self, graph: int, stream: int) -> tuple[()]:
        self.launches += 1
        for operation in self.live[graph]:
            self.live[stream].put(operation)
        return ()


class SimulatedContext:
    """An execution context that has ONNX Runtime do the work on the simulated device."""

    active_optimization_profile = 0

    def __init__(self, engine: SimulatedPlan) -> None:
        self.engine, self.addresses, self.shape = engine, dict[str, int](), (0, 0, 0, 0)

    def set_device_memory(self, address: int, size: int) -> None:
        assert size <= len(self.engine.cuda.live[address])

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = shape
        return self.engine.batches[0] <= shape[0] <= self.engine.batches[1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self.shape[0], *self.engine.shapes[name])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def infer_shapes(self) -> list[str]:
        return sorted(set(self.engine.dtypes) - set(self.addresses))

    def execute_async_v3(self, stream: int) -> bool:
        if self.engine.fails:
            self.engine.logger.log("ERROR", "cask: launch failed")
            return False
        self.engine.cuda.live[stream].put(self.run)
        return True

    def run(self) -> None:
        frames = np.ctypeslib.as_array(self._memory(INPUT_NAME, int(np.prod(self.shape)))).reshape(self.shape)
        results = self.engine.session.run(None, {INPUT_NAME: frames})
        for name, array in zip(self.engine.shapes, results, strict=True):
            ctypes.memmove(self.addresses[name], array.ctypes.data, array.nbytes)

    def _memory(self, name: str, size: int) -> Any:
        return (ctypes.c_uint8 * size).from_address(self.addresses[name])


class SimulatedPlan:
    """TensorRT's runtime and engine in one."""

    device_memory_size_v2 = 64
    fails = False

    def __init__(self, cuda: SimulatedCuda, onnx: Path, batches: tuple[int, int]) -> None:
        import onnxruntime

        self.cuda, self.batches = cuda, batches
        self.session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
        self.input_hw = tuple(self.session.get_inputs()[0].shape[1:3])
        outputs = self.session.run(None, {INPUT_NAME: np.zeros((1, *self.input_hw, 3), np.uint8)})
        names = [output.name for output in self.session.get_outputs()]
        self.shapes = {name: x.shape[1:] for name, x in zip(names, outputs, strict=True)}
        kinds = {"uint8": "UINT8", "int32": "INT32", "float32": "FLOAT"}
        self.dtypes = {INPUT_NAME: "UINT8"}
        self.dtypes |= {name: kinds[x.dtype.name] for name, x in zip(names, outputs, strict=True)}
        self.logger: Any = None
        self.contexts = 0

    def module(self) -> Any:
        """What `import tensorrt` gives."""
        levels = {name: name for name in ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")}
        return SimpleNamespace(
            ILogger=type("ILogger", (), levels),
            Runtime=self.runtime,
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user managed"),
        )

    def runtime(self, logger: Any) -> SimulatedPlan:
        self.logger = logger
        return self

    def deserialize_cuda_engine(self, content: bytes) -> SimulatedPlan | None:
        if content == b"plan":
            return self
        self.logger.log("ERROR", "Magic tag does not match\nin verifyHeader")
        return None

    @property
    def num_io_tensors(self) -> int:
        return len(self.dtypes)

    def get_tensor_name(self, i: int) -> str:
        return list(self.dtypes)[i]

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name=self.dtypes[name])

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        return [(n, *self.input_hw, 3) for n in (self.batches[0], self.batches[0], self.batches[1])]

    def create_runtime_config(self) -> Any:
        def check(strategy: str) -> None:
            assert strategy == "user managed"

        return SimpleNamespace(set_execution_context_allocation_strategy=check)

    def create_execution_context(self, config: Any) -> SimulatedContext:
        self.contexts += 1
        return SimulatedContext(self)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCuda]:
    """A simulation in place of cuda-python. Fails where something was not freed."""
    from streamseg.engines import cuda_memory, tensorrt_engine, tensorrt_plan
    from streamseg.engines.machine import Machine

    simulated = SimulatedCuda(cuda_memory.cudart)
    for module in (cuda_memory, tensorrt_plan, tensorrt_engine):
        monkeypatch.setattr(module, "cudart", simulated)
    here = Machine("11.4.0.106", "TensorRT", "NVIDIA H200", "9.0", "13.0")
    monkeypatch.setattr(tensorrt_engine, "this_machine", lambda: here)
    yield simulated
    gc.collect()
    assert simulated.live == {}, "not freed"


@pytest.fixture
def plan(
    request: pytest.FixtureRequest,
    cuda: SimulatedCuda,
    tiny_engine_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> SimulatedPlan:
    """A simulation in place of TensorRT, for batches of 1 and 2 unless the test asks for others."""
    from streamseg.engines import tensorrt_plan

    simulated = SimulatedPlan(cuda, tiny_engine_path, getattr(request, "param", (1, 2)))
    monkeypatch.setattr(tensorrt_plan, "tensorrt_module", simulated.module)
    return simulated
