"""Everything after a PicoDet, in tensor operations that any runtime has: decoding, Fast NMS, masks.

Only the batch is free, so the tail exports into the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from streamseg.models.corners import LEVELS, NMS_IOU, Corners, excess, inside
from streamseg.models.instance_tensors import InstanceTensors, check_limits
from streamseg.models.picodet.decode import decoded_boxes, joint_probabilities
from streamseg.models.picodet.mask_branch import mask_logits
from streamseg.models.picodet.network import PicoDet, PicoHeads, level_points

__all__ = ["PicoTail"]

MOST_LOCATIONS = 1000
"""Those of the best classes are looked at further, as many as the original takes of a level."""
MOST_PAIRS = 600
"""Of a location and a class that enter Fast NMS, the best of all classes together. A picture has rarely a
hundred above a score of 0.05, and comparing (600, 600) boxes costs a tenth of (80, 200, 200)."""


class ScoredPairs(NamedTuple):
    """Locations with a class, by descending score, (B, k) each."""

    scores: Tensor
    locations: Tensor
    classes: Tensor


class PicoTail(nn.Module):
    """Raw heads → the contract's instances."""

    def __init__(
        self,
        model: PicoDet,
        *,
        max_detections: int = 100,
        score_threshold: float = 0.0,
        cross_class: bool = False,
        columns: Sequence[int] | None = None,
    ) -> None:
        """`columns`: the classes that are looked for, if not all; a class in what comes out is an index to
        them. With `cross_class` a box suppresses boxes of all classes. Raises ExportError for options that
        cannot be met."""
        super().__init__()
        points = level_points(model.config.input_hw)
        classes = len(model.config.classes if columns is None else columns)
        self.locations = min(MOST_LOCATIONS, len(points))
        self.pairs = min(MOST_PAIRS, self.locations * classes)
        check_limits(max_detections, self.pairs, score_threshold)
        self.max_detections, self.score_threshold = max_detections, score_threshold
        self.cross_class = cross_class
        self.input_hw = model.config.input_hw
        self.coefficients = model.coefficients
        self.points: Tensor
        self.register_buffer("points", points, persistent=False)
        self.columns: Tensor | None
        self.register_buffer("columns", None if columns is None else torch.tensor(columns), persistent=False)

    def forward(
        self,
        logits: Tensor,
        alignment: Tensor,
        distribution: Tensor,
        seen: Tensor,
        proto: Tensor,
        scenery: Tensor,
    ) -> InstanceTensors:
        """The fields of PicoHeads."""
        heads = PicoHeads(logits, alignment, distribution, seen, proto, scenery)
        scores = joint_probabilities(heads)
        found = self._pairs(scores if self.columns is None else scores.index_select(-1, self.columns))
        corners = decoded_boxes(distribution, self.points, self.input_hw)
        classes = None if self.cross_class else found.classes
        dropped = suppressed_pairs(corners.gather(found.locations), classes)
        best, kept = torch.where(dropped, -1.0, found.scores).topk(self.max_detections, dim=1)
        locations, classes = found.locations.gather(1, kept), found.classes.gather(1, kept)
        chosen = corners.gather(locations)
        valid = best > self.score_threshold
        masks = self._masks(heads, locations, chosen) * torch.where(valid, LEVELS, 0.0)[..., None, None]
        return InstanceTensors(
            boxes=torch.where(valid.unsqueeze(-1), torch.stack(chosen, dim=-1), 0.0),
            scores=torch.where(valid, best, 0.0),
            classes=torch.where(valid, classes, 0).to(torch.int32),
            masks=masks.to(torch.uint8),
            number=valid.sum(1).to(torch.int32),
        )

    def _pairs(self, scores: Tensor) -> ScoredPairs:
        """The best of scores (B, P, C)."""
        count = scores.shape[2]
        rows = scores.amax(-1).topk(self.locations, dim=1).indices
        scores = scores.gather(1, rows.unsqueeze(-1).expand(-1, -1, count))
        best, index = scores.flatten(1).topk(self.pairs, dim=1)
        row = torch.div(index, count, rounding_mode="floor")
        return ScoredPairs(best, rows.gather(1, row), index - row * count)

    def _masks(self, heads: PicoHeads, locations: Tensor, corners: Corners) -> Tensor:
        """(B, K, mh, mw) probabilities, zero outside the box ± one cell."""
        seen = heads.seen.gather(1, locations.unsqueeze(-1).expand(-1, -1, heads.seen.shape[2]))
        boxes = torch.stack(corners, -1)
        factors, grid = self.coefficients(seen, self.points[:, 2][locations], boxes, heads.scenery)
        logits = mask_logits(factors, grid, heads.proto, boxes)
        height, width = heads.proto.shape[2:]
        in_x = inside(corners.x1 * width, corners.x2 * width, width).unsqueeze(-2)
        in_y = inside(corners.y1 * height, corners.y2 * height, height).unsqueeze(-1)
        return logits.sigmoid() * in_x * in_y


def suppressed_pairs(boxes: Corners, classes: Tensor | None) -> Tensor:
    """Fast NMS on planes (B, k) by descending score → (B, k), true where any box before it, removed or not,
    overlaps it with IoU > 0.5 and, if `classes` (B, k) are given, is of its class."""
    area = (boxes.x2 - boxes.x1) * (boxes.y2 - boxes.y1) * (NMS_IOU / (1 + NMS_IOU))
    over = excess(boxes, area, boxes) > area.unsqueeze(-2)
    over = over & torch.ones(over.shape[-2:], dtype=torch.bool, device=over.device).triu(1)
    if classes is not None:
        over = over & (classes.unsqueeze(-1) == classes.unsqueeze(-2))
    return over.any(-2)
