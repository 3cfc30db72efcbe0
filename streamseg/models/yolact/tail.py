"""Everything after the YOLACT network, in tensor operations that any runtime has.

Bolya et al., "YOLACT: Real-time Instance Segmentation" (2019) and "YOLACT++" (2020): box decoding, Fast
NMS, the assembly of masks from prototypes and their judgement, with the numerics of the published
implementations, dbolya's or mmdetection's. Shapes are fixed (top-K instead of boolean indexing), only
the batch is free, so the tail exports into the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from streamseg.errors import ExportError
from streamseg.models.corners import LEVELS, NMS_IOU, Corners, excess, inside
from streamseg.models.instance_tensors import InstanceTensors
from streamseg.models.yolact.config import DBOLYA, Selection
from streamseg.models.yolact.priors import level_lengths
from streamseg.models.yolact.yolact import Yolact

__all__ = ["YolactTail", "yolact_tail"]

TOP_PER_CLASS = 200
"""Candidates of one class, or of all if they compete with each other, that enter Fast NMS."""
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
MOST_ROWS = 3840
"""Priors that compete within their classes: those of the best classes. It is the most that TensorRT's top-K
takes, and a fifth of the tail's time is saved (the best 200 of 19,248 rows, 80 times, was 40 % of it). An
image has some hundred priors above the published 0.05; with more than 3,840 the weakest would be missed."""
BLOCK = 50
"""Columns of the pairwise comparison done at a time: an (80, 200, 200) plane is 12.8 MB and lives in
memory, an (80, 50, 50) one stays in the cache, and blocks below the diagonal are skipped."""


class Candidates(NamedTuple):
    """What takes part in Fast NMS: rows of k, each by descending score. R is C, or 1 across classes."""

    scores: Tensor
    """(B, R, k), −1 for those that take no part."""
    rows: Tensor
    """(B, R, k) which row of the heads."""
    classes: Tensor
    """(B, R, k) foreground class."""


class YolactTail(nn.Module):
    """Raw heads → the contract's instances."""

    def __init__(
        self,
        priors: Tensor,
        num_classes: int,
        *,
        max_detections: int = 100,
        score_threshold: float = 0.0,
        cross_class: bool = False,
        selection: Selection = DBOLYA,
        levels: Sequence[int] = (),
        judge: nn.Module | None = None,
        columns: Sequence[int] | None = None,
    ) -> None:
        """`priors` (P, 4) cx cy w h, relative; `num_classes` without background. `columns`: the classes that
        are looked for, if not all; a class in what comes out is an index to them.

        Entries not above `score_threshold` are not counted; at 0 everything that NMS keeps is, as published.
        With `cross_class` a box suppresses boxes of all classes, and each has its best class only.
        `levels`, the priors of each pyramid level, are needed for a selection per level. `judge` maps soft
        masks (N, mh, mw) to (N, C) factors of the score (`maskiou.py`): the scores that come
        out, are compared with the threshold and give the order are then products, as the original shows them.
        Raises ExportError when more detections are asked than NMS can return.
        """
        super().__init__()
        if selection.per_level is not None and sum(levels) != len(priors):
            raise ValueError(f"levels of {list(levels)} rows for {len(priors)} priors")
        self.levels = tuple((n, min(n, selection.per_level)) for n in levels) if selection.per_level else ()
        rows = sum(best for _, best in self.levels) if self.levels else min(len(priors), MOST_ROWS)
        self.per_class = min(TOP_PER_CLASS, rows)
        if columns is not None:
            num_classes = len(columns)
        groups = 1 if cross_class else num_classes
        if not 1 <= max_detections <= groups * self.per_class:
            what = "all classes together" if cross_class else f"{num_classes} classes"
            raise ExportError(
                f"max_detections {max_detections}: must be 1…{groups * self.per_class}"
                f" ({what} × {self.per_class} candidates)"
            )
        if not 0 <= score_threshold < 1:
            raise ExportError(f"score_threshold {score_threshold}: must be 0…1")
        self.max_detections = max_detections
        self.score_threshold = max(score_threshold, selection.kept_score)
        self.cross_class = cross_class
        self.selection = selection
        self.judge = judge
        self.columns: Tensor | None
        self.register_buffer("columns", None if columns is None else torch.tensor(columns), persistent=False)
        self.priors: Tensor
        self.register_buffer("priors", priors.detach().clone(), persistent=False)

    def forward(self, loc: Tensor, conf: Tensor, coeff: Tensor, proto: Tensor) -> InstanceTensors:
        """loc (B,P,4), conf (B,P,1+C) logits with background first, coeff (B,P,D), proto (B,mh,mw,D)."""
        planes = decode(loc, self.priors, self.selection)
        found = self._candidates(self._wanted(conf.softmax(-1)[..., 1:]))
        scores = torch.where(suppressed(planes.gather(found.rows)), -1.0, found.scores)
        scores, flat = scores.flatten(1).topk(self.max_detections, dim=1)
        rows, classes = (t.flatten(1).gather(1, flat) for t in (found.rows, found.classes))
        chosen = coeff.gather(1, rows.unsqueeze(-1).expand(-1, -1, coeff.shape[2]))
        corners = planes.gather(rows)
        if self.judge is None:
            valid = scores > self.score_threshold
            masks = assemble_masks(chosen, proto, corners, torch.where(valid, LEVELS, 0.0))
        else:
            soft = assemble_masks(chosen, proto, corners, torch.where(scores > 0, 1.0, 0.0))
            factors = self._wanted(self.judge(soft.flatten(0, 1))).view(*classes.shape, -1)
            scores = scores.clamp(min=0) * factors.gather(2, classes.unsqueeze(-1)).squeeze(-1)
            scores, order = scores.topk(self.max_detections, dim=1)
            corners, classes = corners.gather(order), classes.gather(1, order)
            valid = scores > self.score_threshold
            masks = rearranged(soft, order) * torch.where(valid, LEVELS, 0.0)[..., None, None]
        return InstanceTensors(
            boxes=torch.where(valid.unsqueeze(-1), torch.stack(corners, dim=-1), 0.0),
            scores=torch.where(valid, scores, 0.0),
            classes=torch.where(valid, classes, 0).to(torch.int32),
            masks=masks.to(torch.uint8),
            number=valid.sum(1).to(torch.int32),
        )

    def _wanted(self, of_classes: Tensor) -> Tensor:
        return of_classes if self.columns is None else of_classes.index_select(-1, self.columns)

    def _candidates(self, scores: Tensor) -> Candidates:
        """The best of scores (B, P, C). Rows that take no part get −1 before top-K, or weak priors would
        push strong ones of other classes out."""
        rows = self._rows_taking_part(scores)
        if rows is not None:
            scores = scores.gather(1, rows.unsqueeze(-1).expand(-1, -1, scores.shape[2]))
        takes_part = (scores.amax(-1) > self.selection.prior_score).unsqueeze(1)
        if self.cross_class:
            best, best_class = scores.max(-1)
            top, index = torch.where(takes_part, best.unsqueeze(1), -1.0).topk(self.per_class, dim=2)
            classes = best_class.unsqueeze(1).gather(2, index)
        else:
            top, index = torch.where(takes_part, scores.transpose(1, 2), -1.0).topk(self.per_class, dim=2)
            classes = torch.arange(top.shape[1], device=top.device).view(1, -1, 1).expand_as(index)
        if rows is not None:
            index = rows.unsqueeze(1).expand(-1, index.shape[1], -1).gather(2, index)
        return Candidates(top, index, classes)

    def _rows_taking_part(self, scores: Tensor) -> Tensor | None:
        """(B, P′) the strongest rows, of each level or of all; None: all of them."""
        best = scores.amax(-1)
        if not self.levels:
            return best.topk(MOST_ROWS, dim=1).indices if scores.shape[1] > MOST_ROWS else None
        parts, start = [], 0
        for length, count in self.levels:
            parts.append(best[:, start : start + length].topk(count, dim=1).indices + start)
            start += length
        return torch.cat(parts, dim=1)


def yolact_tail(
    model: Yolact,
    *,
    max_detections: int = 100,
    score_threshold: float = 0.0,
    cross_class: bool = False,
    columns: Sequence[int] | None = None,
) -> YolactTail:
    """The tail that a model's configuration asks for. Raises ExportError for options that cannot be met."""
    return YolactTail(
        model.priors,
        len(model.config.classes),
        max_detections=max_detections,
        score_threshold=score_threshold,
        cross_class=cross_class,
        selection=model.config.selection,
        levels=level_lengths(model.config),
        judge=model.maskiou_net,
        columns=columns,
    )


def decode(loc: Tensor, priors: Tensor, selection: Selection = DBOLYA) -> Corners:
    """SSD offsets (B, P, 4) against priors (P, 4) cx cy w h → corners (B, P), with the selection's limits."""
    px, py, pw, ph = priors.unbind(-1)
    dx, dy, dw, dh = loc.unbind(-1)
    dw, dh = dw * SIZE_VARIANCE, dh * SIZE_VARIANCE
    if selection.size_limit is not None:
        dw, dh = (d.clamp(-selection.size_limit, selection.size_limit) for d in (dw, dh))
    width, height = pw * torch.exp(dw), ph * torch.exp(dh)
    x1 = px + dx * CENTRE_VARIANCE * pw - width / 2
    y1 = py + dy * CENTRE_VARIANCE * ph - height / 2
    corners = Corners(x1, y1, x1 + width, y1 + height)
    return Corners(*(plane.clamp(0, 1) for plane in corners)) if selection.clip else corners


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
        columns = boxes.part(start, stop)
        beyond = excess(columns, area[..., start:stop], columns)
        not_before = torch.full(beyond.shape[-2:], -torch.inf, device=area.device).tril()
        most = (beyond + not_before).amax(-2)
        if start:  # rows of earlier blocks are all before these columns
            earlier = excess(boxes.part(0, start), area[..., :start], columns)
            most = torch.maximum(most, earlier.amax(-2))
        blocks.append(most > area[..., start:stop])
    return torch.cat(blocks, -1)


def assemble_masks(coeff: Tensor, proto: Tensor, corners: Corners, gain: Tensor) -> Tensor:
    """sigmoid(coefficients · prototypes), zero outside the box ± one cell, × gain (B, K) → (B, K, mh, mw)."""
    height, width = proto.shape[1], proto.shape[2]
    logits = (coeff @ proto.permute(0, 3, 1, 2).flatten(2)).reshape(*coeff.shape[:2], height, width)
    in_x = inside(corners.x1 * width, corners.x2 * width, width).unsqueeze(-2)
    in_y = inside(corners.y1 * height, corners.y2 * height, height).unsqueeze(-1)
    # Two small planes and one large product: the gain costs no pass of its own over the masks.
    return logits.sigmoid() * in_x * (in_y * gain[..., None, None])


def rearranged(masks: Tensor, order: Tensor) -> Tensor:
    """Masks (B, K, mh, mw) in the order (B, K); an index per mask, where torch.gather has one per cell."""
    first = torch.arange(masks.shape[0], device=order.device).unsqueeze(1) * masks.shape[1]
    return masks.flatten(0, 1).index_select(0, (order + first).flatten()).view_as(masks)
