"""The engine for NVIDIA GPUs."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import INPUT_NAME, EngineInfo, EngineOutputs, TensorSpec
from streamseg.engines.base import BaseEngine
from streamseg.engines.cuda_memory import CudaResources, call, cudart, gpu_problem, pinned
from streamseg.engines.engine_file import EngineFile, PlanFile, opened_as
from streamseg.engines.fingerprint import Fingerprint, rebuild_command, stale
from streamseg.engines.machine import Machine, this_machine
from streamseg.engines.output_check import declared_problem
from streamseg.engines.tensorrt_plan import DTYPES, MAKE_ONE, BoundContext, Plan, Shape
from streamseg.errors import ConfigError, EngineError, NotAnEngine

__all__ = ["TensorRTEngine"]


class TensorRTEngine(BaseEngine):
    """A TensorRT or TensorRT-RTX engine that `streamseg build` made, on the current GPU.

    `submit` copies the frames to page-locked memory, puts the batch into the GPU's queue and returns;
    `collect` waits for it. Two sets of outputs take turns: those of a batch stay while the next is under way.
    A batch larger than the engine's profile goes through in chunks of the largest size the profile has,
    and while one is computed the next is copied.
    """

    def __init__(
        self,
        file: str | Path | EngineFile,
        *,
        precision: str = "auto",
        threads: int | None = None,
        graphs: bool = True,
    ) -> None:
        """Load `file`. `threads`: the most that TensorRT may use of the host's; `graphs`: replay the kernels
        of a batch as one CUDA graph. Raises EngineError, also for an engine of another machine or version,
        ConfigError for another precision than it was built in, MissingDependency.
        """
        opened = opened_as(PlanFile, file, "tensorrt")
        here, built = this_machine(), opened.fingerprint.options.precision
        _check(opened.path, opened.fingerprint, here, precision)
        text = f"{here.flavour.lower()} {here.tensorrt} {built.upper()}"
        super().__init__(opened.info, "tensorrt", here.tensorrt, built, text=text)
        self._graphs = graphs
        self._resources = CudaResources()
        self._slots: list[Slot] = []
        self._plan: Plan | None = None
        try:
            self._plan = Plan(opened.path, threads, self._resources)
            self._shapes = self._plan.output_shapes()
            self.outputs = _checked(self._plan, self._shapes, opened.info)
            self._add_slot(self._plan)
            self._reserve(self._plan.batches[1])
        except BaseException:
            self._release()
            raise
        self._turn = 0
        self._results: EngineOutputs | None = None

    def _start(self, frames: NDArray[np.uint8]) -> None:
        assert self._plan is not None
        self._turn = 1 - self._turn
        length, most = len(frames), self._plan.batches[1]
        if length > len(self._frames):
            self._reserve(length)
        if length > most and len(self._slots) == 1:
            self._add_slot(self._plan)
        self._results = self._outputs[self._turn].rows(0, length)
        try:
            for i, start in enumerate(range(0, length, most)):
                self._enqueue(i, frames[start : start + most], start)
        except BaseException:
            self._wait()  # for the chunks before: nothing may still write when the caller goes on
            raise

    def _enqueue(self, i: int, frames: NDArray[np.uint8], start: int) -> None:
        chunk = self._frames[start : start + len(frames)]
        np.copyto(chunk, frames)
        slot = self._slots[i % len(self._slots)]
        before = self._slots[(i - 1) % len(self._slots)] if i else None
        slot.enqueue(chunk, self._outputs[self._turn].rows(start, start + len(frames)), before)

    def _finish(self) -> EngineOutputs:
        self._wait()
        outputs, self._results = self._results, None
        assert outputs is not None
        return outputs

    def _wait(self) -> None:
        for slot in self._slots:
            call(cudart.cudaStreamSynchronize, slot.stream)

    def _release(self) -> None:
        # Contexts before their engine, and graphs and memory, which both use, last.
        self._slots.clear()
        if self._plan is not None:
            self._plan.close()
            self._plan = None
        self._resources.close()

    def _add_slot(self, plan: Plan) -> None:
        self._slots.append(Slot(plan, self._shapes, self._resources, graphs=self._graphs))

    def _reserve(self, length: int) -> None:
        """Page-locked memory for batches of up to `length`."""
        self._frames: NDArray[np.uint8] = pinned((length, *self.info.input_hw, 3), np.uint8)
        self._outputs = [
            EngineOutputs(
                **{name: pinned((length, *shape), DTYPES[name]) for name, shape in self._shapes.items()}
            )
            for _ in range(2)
        ]


class Slot:
    """Memory for one chunk on the GPU and a stream that brings it there, computes and brings results back."""

    def __init__(
        self, plan: Plan, shapes: dict[str, Shape], resources: CudaResources, *, graphs: bool
    ) -> None:
        """`shapes`: of the outputs for one frame. Raises EngineError."""
        self._plan, self._resources, self._graphs = plan, resources, graphs
        self.stream, self.computed = resources.stream(), resources.event()
        rows = {INPUT_NAME: (*plan.input_hw, 3), **shapes}
        self._addresses = {
            name: resources.device(plan.batches[1] * prod(shape) * DTYPES[name].itemsize)
            for name, shape in rows.items()
        }
        self._bound: dict[int, BoundContext] = {}

    def enqueue(self, frames: NDArray[np.uint8], outputs: EngineOutputs, before: Slot | None) -> None:
        """Run `frames` (n, h, w, 3), page-locked, into `outputs`, page-locked; computing begins when the slot
        `before` has computed its last chunk. Raises EngineError."""
        kinds = cudart.cudaMemcpyKind
        self._copy(self._addresses[INPUT_NAME], frames.ctypes.data, frames, kinds.cudaMemcpyHostToDevice)
        if before is not None:
            call(cudart.cudaStreamWaitEvent, self.stream, before.computed, 0)
        self._context(len(frames)).launch()
        call(cudart.cudaEventRecord, self.computed, self.stream)
        for name, array in outputs.arrays().items():
            self._copy(array.ctypes.data, self._addresses[name], array, kinds.cudaMemcpyDeviceToHost)

    def _copy(self, to: int, source: int, array: NDArray[Any], kind: Any) -> None:
        call(cudart.cudaMemcpyAsync, to, source, array.nbytes, kind, self.stream)

    def _context(self, length: int) -> BoundContext:
        """For `length` frames, or the least batch there is: rows beyond the frames hold anything."""
        batch = max(length, self._plan.batches[0])
        if batch not in self._bound:
            context = BoundContext(self._plan, batch, self._addresses, self.stream)
            if self._graphs:
                context.capture(self._resources)
            self._bound[batch] = context
        return self._bound[batch]


def _checked(plan: Plan, shapes: dict[str, Shape], info: EngineInfo) -> dict[str, TensorSpec]:
    """The plan's outputs. Raises NotAnEngine where they are not the contract's."""
    batch = ("B",)
    outputs = {name: TensorSpec(name, batch + shape, DTYPES[name].name) for name, shape in shapes.items()}
    frames = TensorSpec(INPUT_NAME, ("B", *plan.input_hw, 3), DTYPES[INPUT_NAME].name)
    problem = declared_problem({INPUT_NAME: frames}, outputs, info)
    if problem:
        raise NotAnEngine(f"{plan.path}: {problem}; {MAKE_ONE}")
    return outputs


def _check(path: Path, fingerprint: Fingerprint, here: Machine, precision: str) -> None:
    """Raise unless the engine was built in this precision and for this machine."""
    built = fingerprint.options.precision
    if precision not in ("auto", built):
        raise ConfigError(f"precision {precision!r}: {path} was built in {built}; use auto or {built}")
    if problem := gpu_problem():
        raise EngineError(
            f"{path}: a TensorRT engine needs an NVIDIA GPU: {problem}; without one run {fingerprint.onnx},"
            " which it was built from"
        )
    if differences := stale(fingerprint, here):
        again = rebuild_command(path, fingerprint)
        raise EngineError(f"{path}: {'; '.join(differences)}; build it again: {again}")
