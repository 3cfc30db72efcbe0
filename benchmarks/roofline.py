"""How fast a network could be: its convolutions and products counted, against what a GPU can do.

Each operation takes at least as long as its arithmetic and at least as long as its memory traffic, inputs,
weights and outputs once each. What lies between them (activations, additions, resizing, decoding, NMS) is
taken as free, so that the sum is a bound which no implementation beats in this precision.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = ["PEAKS", "Operation", "Peak", "bound_seconds", "count"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One convolution or product."""

    name: str
    flops: int
    """Multiplications and additions, two for each pair."""
    elements: int
    """Of inputs, weights and outputs together."""


@dataclass(frozen=True, slots=True)
class Peak:
    """What NVIDIA's data sheet says of a GPU, dense."""

    half_tflops: float
    """FP16 and BF16; FP32 goes through TF32 at half of it, INT8 at twice."""
    gigabytes_per_s: float


PEAKS = {
    "H200": Peak(989.5, 4800),
    "H100 80GB HBM3": Peak(989.5, 3350),
    "A100-SXM4-80GB": Peak(312, 2039),
    "L4": Peak(121, 300),
}
"""By a part of the name that the driver gives."""
SPEED = {"fp32": 0.5, "fp16": 1.0, "bf16": 1.0, "int8": 2.0}
BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


def count(module: nn.Module, input_hw: tuple[int, int], batch: int) -> list[Operation]:
    """The operations of an engine's module, frames (B, h, w, 3) uint8 in; only shapes are computed."""
    shapes = copy.deepcopy(module).to("meta")
    frames = torch.empty((batch, *input_hw, 3), dtype=torch.uint8, device="meta")
    counter = _Counter()
    with torch.no_grad(), counter:
        shapes(frames)
    operations: list[Operation] = counter.operations
    return operations


def bound_seconds(operations: list[Operation], precision: str, peak: Peak) -> float:
    """The least time they take, one after another."""
    flops = peak.half_tflops * 1e12 * SPEED[precision]
    bandwidth = peak.gigabytes_per_s * 1e9 / BYTES[precision]
    return sum(max(op.flops / flops, op.elements / bandwidth) for op in operations)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation of which torch, or this file, knows the arithmetic."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name == "deform_conv2d":
            # Its convolution; sampling the taps is left out.
            flops = 2 * out.numel() * prod(args[1].shape[1:])
        elif func.overloadpacket in flop_registry:
            flops = flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        else:
            return out
        tensors = [x for x in (*args, out) if isinstance(x, Tensor)]
        self.operations.append(Operation(name, int(flops), sum(x.numel() for x in tensors)))
        return out
