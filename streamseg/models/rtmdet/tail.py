"""Everything after an RTMDet-Ins, in tensor operations that any runtime has: greedy NMS, dynamic masks.

With the numerics of mmdetection's post-processing. Only the batch is free: the tail exports into the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from streamseg.models.corners import Corners
from streamseg.models.greedy_nms import greedy_survivors
from streamseg.models.instance_tensors import InstanceTensors, check_limits
from streamseg.models.rtmdet.config import MASK_CHANNELS, STRIDES
from streamseg.models.rtmdet.head import KERNEL_PARTS, RtmDetHeads
from streamseg.models.rtmdet.network import RtmDet, rtmdet_points

__all__ = ["LOGIT_SLOPE", "RtmDetTail"]

LEVEL_PAIRS = 1000
"""Of a location and a class, the best of each level, that enter NMS: the original's number."""
KEPT_SCORE = 0.05
"""A pair takes part when it scores more."""
NMS_IOU = 0.6
LOGIT_SLOPE = 127
"""Levels of a mask to a logit, in units of the largest that its outline depends on (`outline_unit`)."""
LEAST_UNIT = 1e-6
PLACE_UNIT = 8.0
"""A cell's place, as kernels see it, is counted in so many strides of the location they come from."""


class RankedPairs(NamedTuple):
    """Locations with a class, by descending score, (B, n) each."""

    scores: Tensor
    """0 for pairs that take no part."""
    locations: Tensor
    classes: Tensor


class RtmDetTail(nn.Module):
    """Raw heads → the contract's instances."""

    def __init__(
        self,
        model: RtmDet,
        *,
        max_detections: int = 100,
        score_threshold: float = 0.0,
        cross_class: bool = False,
        columns: Sequence[int] | None = None,
    ) -> None:
        """`columns`: the classes that are looked for, if not all; a class in what comes out is an index to
        them. With `cross_class` a box suppresses boxes of all classes. Entries not above `score_threshold`
        are not counted, nor any below 0.05. Raises ExportError for options that cannot be met."""
        super().__init__()
        config = model.config
        self.input_hw = config.input_hw
        self.level_sizes = [(self.input_hw[0] // s) * (self.input_hw[1] // s) for s in STRIDES]
        self.num_classes = len(config.classes if columns is None else columns)
        pairs = sum(min(LEVEL_PAIRS, size * self.num_classes) for size in self.level_sizes)
        check_limits(max_detections, pairs, score_threshold)
        self.max_detections = max_detections
        self.score_threshold = max(score_threshold, KEPT_SCORE)
        self.cross_class = cross_class
        self.points: Tensor
        self.register_buffer("points", rtmdet_points(self.input_hw), persistent=False)
        self.places: Tensor
        self.register_buffer("places", cell_places(self.input_hw), persistent=False)
        self.columns: Tensor | None
        self.register_buffer("columns", None if columns is None else torch.tensor(columns), persistent=False)

    def forward(
        self, logits: Tensor, distances: Tensor, kernels: Tensor, features: Tensor
    ) -> InstanceTensors:
        """The fields of RtmDetHeads."""
        heads = RtmDetHeads(logits, distances, kernels, features)
        pairs = self._pairs(logits if self.columns is None else logits.index_select(-1, self.columns))
        boxes = self._boxes(distances, pairs.locations)
        whole = (boxes.x2 > boxes.x1) & (boxes.y2 > boxes.y1)
        classes = None if self.cross_class else pairs.classes
        scores, kept = greedy_survivors(
            boxes, torch.where(whole, pairs.scores, 0.0), classes, NMS_IOU, self.max_detections
        )
        valid = scores > 0
        chosen = torch.stack(boxes.gather(kept), -1) / self._extent(distances)
        drawn = self._masks(heads, pairs.locations.gather(1, kept))
        masks = drawn * (LOGIT_SLOPE / outline_unit(drawn)) + 128.5
        return InstanceTensors(
            boxes=torch.where(valid.unsqueeze(-1), chosen, 0.0),
            scores=scores,
            classes=torch.where(valid, pairs.classes.gather(1, kept), 0).to(torch.int32),
            masks=(masks.clamp(0, 255) * valid[..., None, None]).to(torch.uint8),
            number=valid.sum(1).to(torch.int32),
        )

    def _extent(self, like: Tensor) -> Tensor:
        height, width = self.input_hw
        return torch.tensor([width, height, width, height], dtype=like.dtype, device=like.device)

    def _pairs(self, logits: Tensor) -> RankedPairs:
        """The best of logits (B, P, C), level by level, then in one order."""
        first, parts = 0, []
        for level in torch.split(logits, self.level_sizes, dim=1):
            found = level_pairs(level)
            parts.append(RankedPairs(found.scores, found.locations + first, found.classes))
            first += level.shape[1]
        scores, locations, classes = (torch.cat(columns, 1) for columns in zip(*parts, strict=True))
        # By logit, not by score: of many a score is 1 in float32, and any order would be right.
        scores, order = scores.topk(scores.shape[1], dim=1)
        scores = scores.sigmoid()
        scores = torch.where(scores > self.score_threshold, scores, 0.0)
        return RankedPairs(scores, locations.gather(1, order), classes.gather(1, order))

    def _boxes(self, distances: Tensor, locations: Tensor) -> Corners:
        """Planes (B, n), pixels of the input, cut at its borders."""
        height, width = self.input_hw
        left, top, right, bottom = (plane.gather(1, locations) for plane in distances.unbind(-1))
        x, y = self.points[:, 0][locations], self.points[:, 1][locations]
        return Corners(
            (x - left).clamp(0, width),
            (y - top).clamp(0, height),
            (x + right).clamp(0, width),
            (y + bottom).clamp(0, height),
        )

    def _masks(self, heads: RtmDetHeads, locations: Tensor) -> Tensor:
        """(B, K, h/8, w/8) logits: three 1×1 convolutions of each location's own."""
        batch, count = locations.shape
        kernels = heads.kernels.gather(1, locations.unsqueeze(-1).expand(-1, -1, heads.kernels.shape[2]))
        first, second, third, *biases = torch.split(kernels, list(KERNEL_PARTS), dim=-1)
        point = self.points[locations]
        first = first.reshape(batch, count, MASK_CHANNELS, MASK_CHANNELS + 2)
        slope = first[..., :2] / (PLACE_UNIT * point[..., 2]).view(batch, count, 1, 1)
        # What kernels see of a place is linear in it: one more product, no map of places for each instance.
        here = (slope * point[..., None, :2]).sum(-1) + biases[0]
        weights = torch.cat((first[..., 2:], -slope, here.unsqueeze(-1)), -1)
        places = self.places.expand(batch, -1, -1)
        x = weights.flatten(1, 2) @ torch.cat((heads.features.flatten(2), places), 1)
        x = x.relu().reshape(batch, count, MASK_CHANNELS, -1)
        x = second.reshape(batch, count, MASK_CHANNELS, -1) @ x + biases[1].unsqueeze(-1)
        x = third.unsqueeze(-2) @ x.relu() + biases[2].unsqueeze(-1)
        return x.reshape(batch, count, *heads.features.shape[2:])


def level_pairs(logits: Tensor) -> RankedPairs:
    """The best of one level's logits (B, P, C); what scores them is their logit."""
    count = logits.shape[2]
    # The n best pairs lie in the n locations with the best classes. Two short sorts instead of a long one.
    rows = logits.amax(-1).topk(min(LEVEL_PAIRS, logits.shape[1]), dim=1).indices
    chosen = logits.gather(1, rows.unsqueeze(-1).expand(-1, -1, count)).flatten(1)
    best, index = chosen.topk(min(LEVEL_PAIRS, chosen.shape[1]), dim=1)
    row = torch.div(index, count, rounding_mode="floor")
    return RankedPairs(best, rows.gather(1, row), index - row * count)


def outline_unit(logits: Tensor) -> Tensor:
    """(B, K, 1, 1): the largest absolute value of masks (B, K, h, w) in squares of four cells of both signs.

    Only there does interpolation cross 0; what lies beyond may be cut off, and an outline is the same for
    any unit. One unit for all masks would cut off some and leave others a few levels: nothing binds a
    network to a range.
    """
    most, least = of_squares(logits, torch.maximum), of_squares(logits, torch.minimum)
    mixed = (most > 0) & (least <= 0)
    unit = torch.where(mixed, torch.maximum(most, -least), 0.0).amax((2, 3), keepdim=True)
    return unit.clamp(min=LEAST_UNIT)


def of_squares(x: Tensor, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(…, h, w) → (…, h − 1, w − 1): what `pick` takes of each square of four cells. Pooling takes eight
    times as long in torch."""
    pairs = pick(x[..., 1:, :], x[..., :-1, :])
    return pick(pairs[..., 1:], pairs[..., :-1])


def cell_places(input_hw: tuple[int, int]) -> Tensor:
    """(1, 3, cells): x and y of every cell that masks are drawn on, pixels of the input, and 1."""
    y, x = (torch.arange(side // STRIDES[0]) * float(STRIDES[0]) for side in input_hw)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((grid_x, grid_y, torch.ones_like(grid_x))).flatten(1).unsqueeze(0)
