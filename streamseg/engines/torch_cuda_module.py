"""An engine's module as a GPU likes it: folded, channels last, the network in half precision.

Tested in tests/engines/test_torch_engine.py.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from streamseg.models.deform import DeformConv
from streamseg.models.engine_module import EngineModule
from streamseg.models.instance_tensors import InstanceTensors

__all__ = ["GpuModule"]


class GpuModule(nn.Module):
    """An EngineModule of which the network computes in `dtype`.

    Decoding, NMS and masks stay in float32: in half precision a box on a picture of 550 pixels may be a
    quarter of a pixel off, and sums over a mask's cells overflow.
    """

    def __init__(self, module: EngineModule, dtype: torch.dtype) -> None:
        """Takes a copy of `module`, which must be in eval mode."""
        super().__init__()
        self.dtype = dtype
        self.around = copy.deepcopy(module)
        # A copy of its own: YOLACT++'s judge of masks is part of the network and of the tail, which stays.
        network = copy.deepcopy(module.model)
        fold_batch_norms(network)
        self.network = network.to(memory_format=torch.channels_last).to(dtype)
        # Its own network is not needed; what the tail uses of it, the tail has.
        del self.around.model

    def forward(self, frames: Tensor) -> InstanceTensors:
        """Instances of frames (B, h, w, 3) uint8 BGR."""
        x = self.around.normalised(frames).to(dtype=self.dtype, memory_format=torch.channels_last)
        tensors: InstanceTensors = self.around.tail(*in_float(self.network(x)))
        return tensors


def fold_batch_norms(network: nn.Module) -> None:
    """Put each BatchNorm2d, in eval mode, that directly follows a convolution in the order of registration
    into that convolution's weights, in place. All our networks apply the two in that order."""
    for parent in list(network.modules()):
        for (_, conv), (name, norm) in pairwise(list(parent.named_children())):
            if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d | DeformConv):
                fold(norm, conv)
                setattr(parent, name, nn.Identity())


def fold(norm: nn.BatchNorm2d, conv: nn.Conv2d | DeformConv) -> None:
    """The convolution alone gives what both gave."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)


def in_float(heads: Any) -> Any:
    """The same with every tensor in float32: heads are tensors, and tuples of them level by level."""
    return heads.float() if isinstance(heads, Tensor) else tuple(in_float(head) for head in heads)
