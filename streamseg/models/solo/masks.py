"""The soft masks of chosen cells, for each way in which SOLO and SOLOv2 draw them.
Tested in tests/models/solo/test_tail.py.

Only the cells that were chosen are drawn, in operations that any runtime has; shapes are fixed but for the
batch. n cells a picture; masks come at the resolution of the finest level, stride 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from streamseg.models.solo.config import SoloConfig
from streamseg.models.solo.parts import resize

__all__ = ["CellMasks", "DecoupledMasks", "DynamicMasks", "masks_of", "rows"]


class DynamicMasks(nn.Module):
    """SOLOv2: the cell's own kernel on features that all cells share."""

    def forward(self, cells: Tensor, kernel: Tensor, features: Tensor) -> Tensor:
        """(B, n, mh, mw) for cells (B, n), kernel (B, N, D), features (B, D, mh, mw)."""
        soft = (rows(kernel, cells) @ features.flatten(2)).sigmoid()
        return soft.reshape(*cells.shape, *features.shape[2:])


class CellMasks(nn.Module):
    """SOLO: a fixed kernel for every cell, on the features of its level."""

    def __init__(self, grids: Sequence[int]) -> None:
        super().__init__()
        self.grids = tuple(grids)

    def forward(self, cells: Tensor, kernel: Tensor, bias: Tensor, features: Sequence[Tensor]) -> Tensor:
        """(B, n, mh, mw) for cells (B, n), kernel (N, D), bias (N,), features (B, D, h, w) of each level.

        Every chosen cell is drawn on every level and one of these masks is kept: what level a cell is of
        depends on the picture, shapes must not. For 500 cells of 768×1344 that is 20 of 310 billion products.
        """
        weights = kernel.index_select(0, cells.flatten()).reshape(*cells.shape, -1)
        offsets = bias.index_select(0, cells.flatten()).reshape(*cells.shape, 1)
        size = (features[0].shape[2], features[0].shape[3])
        soft = torch.zeros(*cells.shape, *size, device=cells.device)
        first = 0
        for grid, x in zip(self.grids, features, strict=True):
            drawn = (weights @ x.flatten(2) + offsets).sigmoid().reshape(*cells.shape, *x.shape[2:])
            here = (cells >= first) & (cells < first + grid * grid)
            soft = torch.where(here[..., None, None], at_size(drawn, size), soft)
            first += grid * grid
        return soft


class DecoupledMasks(nn.Module):
    """Decoupled SOLO: the mask of the cell's column times that of its row."""

    column: Tensor
    """(N,) which of all levels' columns a cell is in."""
    row: Tensor
    """(N,) the same of rows."""

    def __init__(self, grids: Sequence[int]) -> None:
        super().__init__()
        places, first = [], 0
        for grid in grids:
            place = torch.arange(first, first + grid)
            places.append((place.repeat(grid), place.repeat_interleave(grid)))
            first += grid
        columns, rows_ = (torch.cat(parts) for parts in zip(*places, strict=True))
        self.register_buffer("column", columns, persistent=False)
        self.register_buffer("row", rows_, persistent=False)

    def forward(self, cells: Tensor, columns: Sequence[Tensor], rows_: Sequence[Tensor]) -> Tensor:
        """(B, n, mh, mw) for cells (B, n), logits (B, grid, h, w) of the columns and rows of each level."""
        size = (columns[0].shape[2], columns[0].shape[3])
        across, down = (
            torch.cat([at_size(x.sigmoid(), size) for x in maps], dim=1).flatten(2)
            for maps in (columns, rows_)
        )
        soft = rows(across, self.column[cells]) * rows(down, self.row[cells])
        return soft.reshape(*cells.shape, *size)


def masks_of(config: SoloConfig) -> DynamicMasks | CellMasks | DecoupledMasks:
    """What draws the masks of a configuration."""
    if config.head == "dynamic":
        return DynamicMasks()
    return CellMasks(config.grids) if config.head == "cells" else DecoupledMasks(config.grids)


def at_size(soft: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Soft masks, resized where they have another size; probabilities, not logits, as the originals do."""
    return soft if soft.shape[2:] == size_hw else resize(soft, size_hw)


def rows(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index` (B, n) of x (B, N, k) → (B, n, k). Whole rows are copied, which gathering by
    element, with an index as large as the result, does not."""
    first = torch.arange(x.shape[0], device=x.device).unsqueeze(-1) * x.shape[1]
    return x.flatten(0, 1).index_select(0, (index + first).flatten()).reshape(*index.shape, x.shape[2])
