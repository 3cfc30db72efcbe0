"""Everything after a SOLO or SOLOv2 network, in tensor operations that any runtime has.

Wang et al., "SOLOv2: Dynamic and Fast Instance Segmentation" (2020): points NMS, the masks of the best
cells, maskness and Matrix NMS, with the numerics of mmdetection's implementation, which SOLO's published
test configurations share; only the drawing of masks differs (`solo_masks`). Shapes are fixed
(top-K instead of boolean indexing), only the batch is free, so the tail exports into the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from streamseg.models.instance_tensors import InstanceTensors, check_limits
from streamseg.models.solo.config import SoloConfig
from streamseg.models.solo.masks import DynamicMasks, masks_of, rows

__all__ = ["CANDIDATES", "SoloTail", "solo_tail"]

CANDIDATES = 500
"""Pairs of a cell and a class whose masks are made, and of those that enter Matrix NMS."""
PAIR_SCORE = 0.1
"""A pair takes part when the class scores more than this in the cell."""
MASK_PROBABILITY = 0.5
BLOCK = 125
"""Columns of the pairwise comparison done at a time: blocks below the diagonal are skipped."""
KEPT_SCORE = 0.05
"""What Matrix NMS leaves of a score must reach this."""
SIGMA = 2.0
CROP_MARGIN = 1
"""Cells kept beyond the mask's outermost on each side: interpolation between them draws its edge."""


class Pairs(NamedTuple):
    """Cells with one of their classes each, by descending score; n a picture."""

    scores: Tensor
    """(B, n), 0 for those that take no part."""
    cells: Tensor
    """(B, n) row of the heads."""
    classes: Tensor
    """(B, n) foreground class."""


class SoloTail(nn.Module):
    """Raw heads → the contract's instances."""

    min_area: Tensor
    """(N,) float32: cells that a mask of this row must exceed."""

    def __init__(
        self,
        grids: Sequence[int],
        min_areas: Sequence[int],
        num_classes: int,
        *,
        masks: nn.Module | None = None,
        max_detections: int = 100,
        score_threshold: float = 0.0,
        candidates: int = CANDIDATES,
        columns: Sequence[int] | None = None,
    ) -> None:
        """`grids`: cells along each side of the picture; `min_areas`: cells of the finest level that a mask
        must exceed; both level by level. `masks` draws the masks of cells from the heads, SOLOv2's if None.
        `columns`: the classes that are looked for, if not all; a class in what comes out is an index to them.

        Entries not above `score_threshold` are not counted, nor any below 0.05. The result is the
        original's while no more than `candidates` pairs of a picture score above 0.1; with more, the
        original makes all their masks and keeps the best 500 by score × maskness, this the best by score.
        Raises ExportError when more detections are asked than there are candidates.
        """
        super().__init__()
        self.grids = tuple(grids)
        self.masks = masks or DynamicMasks()
        self.num_classes = num_classes = num_classes if columns is None else len(columns)
        self.columns: Tensor | None
        self.register_buffer("columns", None if columns is None else torch.tensor(columns), persistent=False)
        cells = sum(grid * grid for grid in grids)
        self.candidates = min(candidates, cells * num_classes)
        self.compared = min(CANDIDATES, self.candidates)
        check_limits(max_detections, self.compared, score_threshold)
        self.max_detections = max_detections
        self.score_threshold = max(score_threshold, KEPT_SCORE)
        areas = [torch.full((g * g,), float(a)) for g, a in zip(self.grids, min_areas, strict=True)]
        self.register_buffer("min_area", torch.cat(areas), persistent=False)

    def forward(self, category: Tensor, *heads: Any) -> InstanceTensors:
        """category (B,N,C) logits; `heads` is what `masks` draws from."""
        if self.columns is not None:
            category = category.index_select(-1, self.columns)
        pairs = self._best(category.sigmoid())
        drawn: Tensor = self.masks(pairs.cells, *heads)
        soft = drawn.flatten(2)
        binary = (soft > MASK_PROBABILITY).to(soft.dtype)
        scores, order = (pairs.scores * self._maskness(soft, binary, pairs.cells)).topk(self.compared, dim=1)
        classes = pairs.classes.gather(1, order)
        scores = scores * decay(rows(binary, order), classes)
        scores, kept = scores.topk(self.max_detections, dim=1)
        masks = rows(soft, order.gather(1, kept)).reshape(*kept.shape, *drawn.shape[2:])
        valid = scores > self.score_threshold
        x, y = extent(masks), extent(masks.transpose(2, 3))
        boxes = torch.stack([x.low, y.low, x.high, y.high], dim=-1)
        levels = (
            masks * x.near.unsqueeze(-2) * torch.where(y.near & valid.unsqueeze(-1), 255.0, 0.0).unsqueeze(-1)
        )
        return InstanceTensors(
            boxes=torch.where(valid.unsqueeze(-1), boxes, 0.0),
            scores=torch.where(valid, scores, 0.0),
            classes=torch.where(valid, classes.gather(1, kept), 0).to(torch.int32),
            # Half down: a probability of one half is not inside.
            masks=torch.ceil(levels - 0.5).to(torch.uint8),
            number=valid.sum(1).to(torch.int32),
        )

    def _best(self, scores: Tensor) -> Pairs:
        """The best pairs of scores (B, N, C)."""
        levels = torch.split(scores, [grid * grid for grid in self.grids], dim=1)
        scores = torch.cat([peaks(x, g) for x, g in zip(levels, self.grids, strict=True)], dim=1)
        # The n best pairs lie in the n cells with the best classes. Two short sorts instead of a long one.
        cells = scores.amax(-1).topk(min(self.candidates, scores.shape[1]), dim=1).indices
        values, flat = rows(scores, cells).flatten(1).topk(self.candidates, dim=1)
        place = torch.div(flat, self.num_classes, rounding_mode="floor")
        return Pairs(values, cells.gather(1, place), flat - place * self.num_classes)

    def _maskness(self, soft: Tensor, binary: Tensor, cells: Tensor) -> Tensor:
        """(B, n) mean of the soft masks (B, n, mh·mw) where binary ones are 1; 0 for too small ones."""
        area = binary.sum(-1)
        mean = (soft * binary).sum(-1) / area.clamp(min=1)
        return torch.where(area > self.min_area[cells], mean, 0.0)


def solo_tail(
    config: SoloConfig,
    *,
    max_detections: int,
    score_threshold: float,
    candidates: int = CANDIDATES,
    columns: Sequence[int] | None = None,
) -> SoloTail:
    """The tail of a configuration; see SoloTail."""
    return SoloTail(
        config.grids,
        config.cell_strides,
        len(config.classes),
        masks=masks_of(config),
        max_detections=max_detections,
        score_threshold=score_threshold,
        candidates=candidates,
        columns=columns,
    )


def peaks(scores: Tensor, grid: int) -> Tensor:
    """Points NMS: scores (B, grid², C), 0 where not above 0.1 or where a neighbour above, to the left or
    between the two has more. Equal ones stay, as in the original."""
    maps = scores.transpose(1, 2).reshape(scores.shape[0], scores.shape[2], grid, grid)
    best = max_pool2d(maps, kernel_size=2, stride=1, padding=1)[..., :-1, :-1]
    best = best.flatten(2).transpose(1, 2)
    return torch.where((best == scores) & (scores > PAIR_SCORE), scores, 0.0)


def decay(binary: Tensor, classes: Tensor) -> Tensor:
    """Matrix NMS with the Gaussian kernel: (B, n) factors for masks (B, n, cells), 0 or 1, by descending
    score.

    The original's min over i of exp(−σ·iou_ij²) / exp(−σ·comp_i²), with comp_i the largest IoU of i with a
    better mask of its class. The first mask has comp 0, so the exponent below is never positive; others
    than the better masks of the class add nothing to it.
    """
    area = binary.sum(-1)
    factors: list[Tensor] = []
    comp = area[:, :0]
    for start in range(0, area.shape[1], BLOCK):
        stop = min(start + BLOCK, area.shape[1])
        inter = binary[:, :stop] @ binary[:, start:stop].transpose(1, 2)
        iou = inter / (area[:, :stop, None] + area[:, None, start:stop] - inter).clamp(min=1)
        better = torch.ones(stop, stop - start, dtype=torch.bool, device=binary.device).triu(1 - start)
        rival = better & (classes[:, :stop, None] == classes[:, None, start:stop])
        squared = torch.where(rival, iou * iou, 0.0)
        comp = torch.cat([comp, squared.amax(1)], dim=1)
        factors.append(torch.exp(-SIGMA * (squared - comp.unsqueeze(2)).amax(1)))
    return torch.cat(factors, dim=1)


class Extent(NamedTuple):
    """Where masks lie along one axis."""

    low: Tensor
    """(B, K) where the mask begins, relative 0…1."""
    high: Tensor
    """(B, K) where it ends."""
    near: Tensor
    """(B, K, size) bool, cells under the mask and one beyond it on each side."""


def extent(soft: Tensor) -> Extent:
    """Along the last axis of masks (B, K, other, size), none empty.

    The ends are those of the mask as it is drawn, interpolated between the centres of cells and cut at one
    half: along a line of cells through the outermost set one, where it crosses the half on its way to the
    cell beyond. Between lines the interpolation never reaches further.
    """
    size = soft.shape[-1]
    cell = torch.arange(size, device=soft.device)
    occupied = soft.amax(-2) > MASK_PROBABILITY
    first = torch.where(occupied, cell, size - 1).amin(-1)
    last = torch.where(occupied, cell, 0).amax(-1)
    low = first - reach(soft, first, (first - 1).clamp(min=0)) + 0.5
    high = last + reach(soft, last, (last + 1).clamp(max=size - 1)) + 0.5
    near = (cell >= first.unsqueeze(-1) - CROP_MARGIN) & (cell <= last.unsqueeze(-1) + CROP_MARGIN)
    return Extent(
        low=torch.where(first == 0, 0.0, low) / size,
        high=torch.where(last == size - 1, float(size), high) / size,
        near=near,
    )


def reach(soft: Tensor, edge: Tensor, beyond: Tensor) -> Tensor:
    """(B, K) how far from the centres of cells `edge` towards those of `beyond` the mask goes, in cells."""
    inside, outside = (
        soft.gather(-1, place[..., None, None].expand(*soft.shape[:3], 1)).squeeze(-1)
        for place in (edge, beyond)
    )
    distance = (inside - MASK_PROBABILITY) / (inside - outside)
    return torch.where(inside > MASK_PROBABILITY, distance, 0.0).amax(-1)
