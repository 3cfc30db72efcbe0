"""Everything after the YOLACT network, in tensor operations that any runtime has.

Bolya et al., "YOLACT: Real-time Instance Segmentation" (2019): box decoding, Fast NMS and the
assembly of masks from prototypes, with the published implementation's numerics. Shapes are fixed
(top-K instead of boolean indexing), only the batch is free, so the tail exports into the graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from streamseg.errors import ExportError

__all__ = ["InstanceTensors", "YolactTail"]

PRE_NMS_SCORE = 0.05
"""A prior whose best foreground probability does not exceed this takes no part."""
TOP_PER_CLASS = 200
"""Candidates of one class that enter Fast NMS."""
NMS_IOU = 0.5
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
CROP_MARGIN = 1.0
"""Cells of the mask kept beyond each side of the box."""
BLOCK = 50
"""Columns of the pairwise comparison done at a time: an (80, 200, 200) plane is 12.8 MB and lives in
memory, an (80, 50, 50) one stays in the cache, and blocks below the diagonal are skipped."""


class InstanceTensors(NamedTuple):
    """The engine contract's outputs as tensors."""

    boxes: Tensor
    """(B, K, 4) float32, x1 y1 x2 y2 relative to the input, not clipped."""
    scores: Tensor
    """(B, K) float32, descending; 0 from `number` on."""
    classes: Tensor
    """(B, K) int32, 0-based foreground class."""
    masks: Tensor
    """(B, K, mh, mw) uint8, probability × 255, zero outside the box."""
    number: Tensor
    """(B,) int32, the contract's `count` (a tuple has a method of that name)."""


class Corners(NamedTuple):
    """Boxes as four planes of one shape. Kept apart because an innermost axis of 4 (or 2) defeats
    vectorisation: with (…, 2) tensors the comparison of boxes takes four times as long."""

    x1: Tensor
    y1: Tensor
    x2: Tensor
    y2: Tensor

    def gather(self, index: Tensor) -> Corners:
        """Entries `index` (B, …) of planes (B, P) → planes of the index's shape."""
        return Corners(*(plane.gather(1, index.flatten(1)).view_as(index) for plane in self))


class YolactTail(nn.Module):
    """Raw heads → the contract's instances."""

    def __init__(
        self, priors: Tensor, num_classes: int, *, max_detections: int = 100, score_threshold: float = 0.0
    ) -> None:
        """`priors` (P, 4) cx cy w h, relative; `num_classes` without background.

        Entries not above `score_threshold` are not counted; at 0 everything that NMS keeps is, as published.
        Raises ExportError when more detections are asked than NMS can return.
        """
        super().__init__()
        self.per_class = min(TOP_PER_CLASS, len(priors))
        if not 1 <= max_detections <= num_classes * self.per_class:
            raise ExportError(
                f"max_detections {max_detections}: must be 1…{num_classes * self.per_class}"
                f" ({num_classes} classes × {self.per_class} candidates)"
            )
        if not 0 <= score_threshold < 1:
            raise ExportError(f"score_threshold {score_threshold}: must be 0…1")
        self.max_detections = max_detections
        self.score_threshold = score_threshold
        self.priors: Tensor
        self.register_buffer("priors", priors.detach().clone(), persistent=False)

    def forward(self, loc: Tensor, conf: Tensor, coeff: Tensor, proto: Tensor) -> InstanceTensors:
        """loc (B,P,4), conf (B,P,1+C) logits with background first, coeff (B,P,D), proto (B,mh,mw,D)."""
        corners = decode(loc, self.priors)
        scores, prior = class_candidates(conf, self.per_class)
        scores = torch.where(suppressed(corners.gather(prior)), -1.0, scores)
        scores, flat = scores.flatten(1).topk(self.max_detections, dim=1)
        valid = scores > self.score_threshold
        kept = prior.flatten(1).gather(1, flat)
        corners = Corners(*(torch.where(valid, plane, 0.0) for plane in corners.gather(kept)))
        chosen = coeff.gather(1, kept.unsqueeze(-1).expand(-1, -1, coeff.shape[2]))
        classes = torch.div(flat, self.per_class, rounding_mode="floor")
        return InstanceTensors(
            boxes=torch.stack(corners, dim=-1),
            scores=torch.where(valid, scores, 0.0),
            classes=torch.where(valid, classes, 0).to(torch.int32),
            masks=assemble_masks(chosen, proto, corners, valid),
            number=valid.sum(1).to(torch.int32),
        )


def decode(loc: Tensor, priors: Tensor) -> Corners:
    """SSD offsets (B, P, 4) against priors (P, 4) cx cy w h → corners (B, P), without any clamp."""
    px, py, pw, ph = priors.unbind(-1)
    dx, dy, dw, dh = loc.unbind(-1)
    width, height = pw * torch.exp(dw * SIZE_VARIANCE), ph * torch.exp(dh * SIZE_VARIANCE)
    x1 = px + dx * CENTRE_VARIANCE * pw - width / 2
    y1 = py + dy * CENTRE_VARIANCE * ph - height / 2
    return Corners(x1, y1, x1 + width, y1 + height)


def class_candidates(conf: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """The `top` best priors of every class: scores (B, C, top), −1 for priors that take no part, and
    their indices. The −1 must come before top-K, or weak priors push strong ones of other classes out."""
    scores = conf.softmax(-1)[..., 1:]
    takes_part = (scores.amax(-1) > PRE_NMS_SCORE).unsqueeze(1)
    best: tuple[Tensor, Tensor] = torch.where(takes_part, scores.transpose(1, 2), -1.0).topk(top, dim=2)
    return best


def suppressed(boxes: Corners) -> Tensor:
    """Fast NMS on planes (B, C, k), each row by descending score → (B, C, k), true where any box before
    it, removed or not, overlaps it with IoU > 0.5.

    IoU > t is decided as intersection · (1 + t)/t > area + area: no division, hence no 0/0; a box
    without area overlaps nothing.
    """
    share = NMS_IOU / (1 + NMS_IOU)
    area = (boxes.x2 - boxes.x1) * (boxes.y2 - boxes.y1) * share
    blocks = []
    for start in range(0, area.shape[-1], BLOCK):
        stop = min(start + BLOCK, area.shape[-1])
        rows = Corners(*(plane[..., :stop].unsqueeze(-1) for plane in boxes))
        cols = Corners(*(plane[..., start:stop].unsqueeze(-2) for plane in boxes))
        width = torch.minimum(rows.x2, cols.x2) - torch.maximum(rows.x1, cols.x1)
        height = torch.minimum(rows.y2, cols.y2) - torch.maximum(rows.y1, cols.y1)
        sum_area = area[..., :stop].unsqueeze(-1) + area[..., start:stop].unsqueeze(-2)
        # Only one side is clamped: a negative height then makes the product negative, never an overlap.
        excess = width.clamp(min=0) * height - sum_area
        not_before = torch.full((stop, stop - start), -torch.inf).tril(-start)
        blocks.append((excess + not_before).amax(-2) > 0)
    return torch.cat(blocks, -1)


def assemble_masks(coeff: Tensor, proto: Tensor, corners: Corners, valid: Tensor) -> Tensor:
    """sigmoid(coefficients · prototypes), zero outside the box ± one cell, × 255 → (B, K, mh, mw) uint8."""
    height, width = proto.shape[1], proto.shape[2]
    logits = (coeff @ proto.permute(0, 3, 1, 2).flatten(2)).reshape(*coeff.shape[:2], height, width)
    in_x = inside(corners.x1 * width, corners.x2 * width, width).unsqueeze(-2)
    in_y = inside(corners.y1 * height, corners.y2 * height, height).unsqueeze(-1)
    rows = torch.where(in_y & valid[..., None, None], 255.0, 0.0)
    levels: Tensor = logits.sigmoid() * in_x * rows
    return levels.round().to(torch.uint8)


def inside(low: Tensor, high: Tensor, size: int) -> Tensor:
    """(B, K) edges in cells → (B, K, size), true for cells in [low − 1, high + 1)."""
    cell = torch.arange(size, dtype=low.dtype)
    low, high = low.unsqueeze(-1), high.unsqueeze(-1)
    return (cell >= low - CROP_MARGIN) & (cell < high + CROP_MARGIN)
