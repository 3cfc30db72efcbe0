"""Maps of a pyramid's levels: doubled, and as rows of locations.

Tested in tests/models/picodet/test_network.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

__all__ = ["flat_rows", "twice"]


def flat_rows(maps: Sequence[Tensor]) -> Tensor:
    """Maps (B, channels, h, w) of the levels → (B, P, channels)."""
    return torch.cat([m.flatten(2) for m in maps], 2).transpose(1, 2)


def twice(x: Tensor) -> Tensor:
    """Each cell four times."""
    return interpolate(x, scale_factor=2.0, mode="nearest")
