"""What a network knows of a class, handed on to a network of other classes.

Tested in tests/training/test_start.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["take_classes"]


@torch.no_grad()
def take_classes(target: Tensor, source: object, groups: int, old: Sequence[str], new: Sequence[str]) -> None:
    """Copy from `source` to `target`, in place, what belongs to the background and to classes that both have.

    Both are weights or biases of one layer, (groups × rows, …): a row for each class, `old` in `source` and
    `new` in `target`, after one for the background where the layer has it. A `source` of another shape has
    nothing to give.
    """
    background = target.shape[0] // groups - len(new)
    shape = groups * (background + len(old)), *target.shape[1:]
    if not isinstance(source, Tensor) or source.shape != shape:
        return
    rows = [(k, k) for k in range(background)]
    rows += [(background + new.index(name), background + k) for k, name in enumerate(old) if name in new]
    into = target.view(groups, -1, *target.shape[1:])
    out_of = source.reshape(groups, -1, *target.shape[1:])
    for to_row, from_row in rows:
        into[:, to_row] = out_of[:, from_row]
