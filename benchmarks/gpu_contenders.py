"""The ways to run one network on a GPU, each ready to be timed at any batch size."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_rounds import Job
from roofline import PEAKS, bound_seconds, count
from torch import Tensor, nn

from streamseg import __version__
from streamseg.engines.torch_cuda import CudaRunner
from streamseg.engines.torch_cuda_module import GpuModule
from streamseg.engines.torch_engine import GPU_DTYPES
from streamseg.errors import StreamsegError
from streamseg.models.engine_module import EngineModule
from streamseg.models.network import build_network
from streamseg.progress import LogWatcher

__all__ = ["BATCHES", "Contender", "Contenders", "contenders", "gpu_missing", "hardware"]

BATCHES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to run one network in one precision."""

    name: str
    on_host: Callable[[int], Job]
    """Batch size → frames from the host to results on the host."""
    on_device: Callable[[int], Job] | None
    """Frames and results stay on the GPU; None where that cannot be had."""
    close: Callable[[], object]


@dataclass(slots=True)
class Contenders:
    """All for one network in one precision."""

    bound_s: Callable[[int], float | None]
    """Batch size → the roofline's seconds; None for a GPU whose peaks are not known here."""
    ready: list[Contender] = field(default_factory=list)
    tail: tuple[Contender, Contender] | None = None
    """The whole and the network alone, as CUDA graphs of torch."""
    left_out: list[str] = field(default_factory=list)
    """Who could not take part, and why."""

    def close(self) -> None:
        """Free the GPU for the next."""
        for contender in (*self.ready, *(self.tail or ())[1:]):
            contender.close()


def gpu_missing() -> str:
    """Why nothing can be measured; empty on a GPU."""
    return "" if torch.cuda.is_available() else "needs an NVIDIA GPU, and torch sees none"


def hardware() -> dict[str, str]:
    """What the figures belong to."""
    versions = [
        f"streamseg {__version__}",
        f"torch {torch.__version__}",
        f"Python {platform.python_version()}",
    ]
    try:
        from streamseg.engines.machine import this_machine

        here = this_machine()
        versions += [f"{here.flavour} {here.tensorrt}", f"driver for CUDA {here.driver}"]
    except StreamsegError as error:
        versions.append(str(error))
    return {"gpu": torch.cuda.get_device_name(), "versions": ", ".join(versions)}


def contenders(model: str, precision: str, batches: list[int], folder: Path) -> Contenders:
    """Make them ready; `folder` takes the files. Those that cannot run here are named in `left_out`."""
    module = EngineModule(build_network(model).eval())
    size = module.model.config.input_hw
    found = Contenders(bound_s=_bound(module, size, precision))
    dtype = GPU_DTYPES[precision]
    for name, graphs, compiled in (
        ("torch graph", True, False),
        ("torch eager", False, False),
        ("torch compile graph", True, True),
    ):
        runner = CudaRunner(
            GpuModule(module, dtype), size, tf32=precision == "fp32", graphs=graphs, compiled=compiled
        )
        found.ready.append(_torch(name, runner, size))
    network = NetworkAlone(GpuModule(module, dtype))
    runner = CudaRunner(network, size, tf32=precision == "fp32", graphs=True, compiled=False)
    found.tail = found.ready[0], _torch("network", runner, size)
    try:
        found.ready += _from_onnx(module, precision, batches, folder, found.left_out)
    except StreamsegError as error:
        found.left_out.append(f"TensorRT: {error}")
    return found


class NetworkAlone(nn.Module):
    """A GpuModule without what follows the network. Gives as many tensors as the heads have."""

    def __init__(self, whole: GpuModule) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        whole = self.whole
        x = whole.around.normalised(frames).to(dtype=whole.dtype, memory_format=torch.channels_last)
        return tuple(leaves(whole.network(x)))


def leaves(heads: Any) -> list[Tensor]:
    """The tensors in nested tuples."""
    return [heads] if isinstance(heads, Tensor) else [leaf for head in heads for leaf in leaves(head)]


def _bound(module: EngineModule, size: tuple[int, int], precision: str) -> Callable[[int], float | None]:
    name = torch.cuda.get_device_name()
    peak = next((peak for part, peak in PEAKS.items() if part in name), None)
    if peak is None:
        return lambda batch: None
    return lambda batch: bound_seconds(count(module, size, batch), precision, peak)


def _frames(batch: int, size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (batch, *size, 3), np.uint8)


def _torch(name: str, runner: CudaRunner, size: tuple[int, int]) -> Contender:
    def inside(work: Callable[[], object]) -> None:
        with torch.inference_mode(), torch.cuda.stream(runner.stream):
            work()

    def on_device(batch: int) -> Job:
        inside(lambda: runner.prepared(batch))
        return Job(lambda: inside(runner.prepared(batch).run), runner.stream.synchronize)

    def on_host(batch: int) -> Job:
        frames = _frames(batch, size)

        def start() -> None:
            runner.start(frames)
            runner.finish()

        return Job(start, lambda: None)

    return Contender(name, on_host, on_device, runner.close)


def _from_onnx(
    module: EngineModule, precision: str, batches: list[int], folder: Path, left_out: list[str]
) -> list[Contender]:
    from streamseg.export.onnx_export import export

    size = module.model.config.input_hw
    path = export(module.model, folder / "network.onnx")
    found = [_onnxruntime_cuda(path, size)] if _has_onnxruntime_cuda() else []
    if not found:
        left_out.append("ONNX Runtime on CUDA: pip install onnxruntime-gpu in place of onnxruntime")
    try:
        return [*_tensorrt(path, precision, batches, folder), *found]
    except StreamsegError as error:
        left_out.append(f"TensorRT: {error}")
        return found


def _has_onnxruntime_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _onnxruntime_cuda(path: Path, size: tuple[int, int]) -> Contender:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CUDAExecutionProvider"])

    def on_host(batch: int) -> Job:
        frames = _frames(batch, size)
        return Job(lambda: session.run(None, {"frames": frames}), lambda: None)

    return Contender("onnxruntime CUDA FP32", on_host, None, lambda: None)


def _tensorrt(onnx: Path, precision: str, batches: list[int], folder: Path) -> list[Contender]:
    from streamseg.compile.build import build_engine
    from streamseg.engines.build_options import BuildOptions

    usual = 1 if max(batches) == 1 else 8
    profile = min(batches), min(usual, max(batches)), max(batches)
    options = BuildOptions(precision=precision, batch=profile)  # type: ignore[arg-type]
    engine = build_engine(onnx, folder / "network.engine", options, LogWatcher())
    return [_tensorrt_contender(engine, graphs) for graphs in (True, False)]


def _tensorrt_contender(path: Path, graphs: bool) -> Contender:
    from streamseg.engines.cuda_memory import CudaResources, call, cudart
    from streamseg.engines.tensorrt_engine import TensorRTEngine
    from streamseg.engines.tensorrt_plan import DTYPES, BoundContext, Plan

    engine, resources = TensorRTEngine(path, graphs=graphs), CudaResources()
    plan, stream = Plan(path, None, resources), resources.stream()
    rows = {"frames": (*plan.input_hw, 3), **plan.output_shapes()}
    addresses = {
        name: resources.device(plan.batches[1] * prod(shape) * DTYPES[name].itemsize)
        for name, shape in rows.items()
    }

    def on_device(batch: int) -> Job:
        context = BoundContext(plan, batch, addresses, stream)
        if graphs:
            context.capture(resources)
        return Job(context.launch, lambda: call(cudart.cudaStreamSynchronize, stream))

    def on_host(batch: int) -> Job:
        frames = _frames(batch, plan.input_hw)
        return Job(lambda: engine.infer(frames), lambda: None)

    def close() -> None:
        engine.close()
        plan.close()
        resources.close()

    return Contender("tensorrt graph" if graphs else "tensorrt", on_host, on_device, close)
