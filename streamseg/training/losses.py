"""The losses of YOLACT (Bolya et al. 2019, §3 and dbolya's `MultiBoxLoss`), with three changes.

A class that is not annotated in a picture's data set takes no part in its background loss; every picture
has some negatives, also one without objects; mask targets are the share of a cell that is covered, not
that share cut at ½, which keeps the position of an outline within a cell.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    interpolate,
    smooth_l1_loss,
)

from streamseg.models.yolact import RawHeads
from streamseg.training.matching import Match, encode, match
from streamseg.training.mixture import Batch

__all__ = ["Losses", "compute_losses"]

BOX_WEIGHT = 1.5
MASK_WEIGHT = 6.125
NEGATIVES_PER_POSITIVE = 3
MIN_NEGATIVES = 30
MAX_MASKS_PER_IMAGE = 100
EXCLUDED_LOGIT = -1e4


class Losses(NamedTuple):
    """Scalars, weighted; their sum is what is minimised."""

    conf: Tensor
    box: Tensor
    mask: Tensor
    segmentation: Tensor

    def total(self) -> Tensor:
        """The sum."""
        return torch.stack(tuple(self)).sum()


def compute_losses(heads: RawHeads, segmentation: Tensor, priors: Tensor, batch: Batch) -> Losses:
    """All losses of one batch, in float32. `segmentation` (B, C, h/8, w/8) logits."""
    heads = RawHeads(*(head.float() for head in heads))
    pictures = zip(batch.boxes, batch.classes, batch.ignored, strict=True)
    matches = [match(priors, boxes, classes, ignored) for boxes, classes, ignored in pictures]
    target = torch.stack([m.target for m in matches])
    positives = (target > 0).sum().clamp(min=1)
    conf = conf_loss(heads.conf, target, batch.counted) / positives
    box, mask = heads.loc.sum() * 0, heads.proto.sum() * 0
    for k, found in enumerate(matches):
        chosen = (found.target > 0).nonzero()[:, 0]
        if len(chosen):
            box = box + box_loss(heads.loc[k], chosen, found, priors, batch.boxes[k])
            mask = mask + mask_loss(heads, k, chosen, found, batch)
    return Losses(
        conf,
        BOX_WEIGHT * box / positives,
        MASK_WEIGHT * mask / positives,
        segmentation_loss(segmentation.float(), batch),
    )


def conf_loss(conf: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Sum of the cross-entropy of positives and of the hardest background priors, three to a positive.

    `conf` (B, P, 1 + C) logits, `target` (B, P) as in Match, `counted` (B, C) bool.
    """
    positive = target > 0
    excluded = torch.cat((torch.zeros_like(counted[:, :1]), ~counted), dim=1)
    conf = conf.masked_fill(excluded[:, None] & ~positive[..., None], EXCLUDED_LOGIT)
    hardness = (conf.logsumexp(dim=2) - conf[..., 0]).detach().masked_fill(target != 0, -1.0)
    wanted = (NEGATIVES_PER_POSITIVE * positive.sum(dim=1)).clamp(min=MIN_NEGATIVES)
    rank = hardness.argsort(dim=1, descending=True).argsort(dim=1)
    chosen = positive | ((rank < wanted[:, None]) & (target == 0))
    return cross_entropy(conf[chosen], target[chosen], reduction="sum")


def box_loss(loc: Tensor, chosen: Tensor, found: Match, priors: Tensor, boxes: Tensor) -> Tensor:
    """Sum of smooth L1 over the offsets of the `chosen` priors of one picture."""
    wanted = encode(boxes[found.row[chosen]], priors[chosen])
    return smooth_l1_loss(loc[chosen], wanted, reduction="sum")


def mask_loss(heads: RawHeads, k: int, chosen: Tensor, found: Match, batch: Batch) -> Tensor:
    """Sum over positives of picture `k` of the mean cross-entropy within the object's box."""
    count = len(chosen)
    if count > MAX_MASKS_PER_IMAGE:
        chosen = chosen[torch.randperm(count)[:MAX_MASKS_PER_IMAGE]]
    rows = found.row[chosen]
    logits = torch.einsum("hwd,nd->nhw", heads.proto[k], heads.coeff[k, chosen])
    wanted = batch.masks[k][rows].float() / 255
    boxes = batch.boxes[k][rows]
    cross = binary_cross_entropy_with_logits(logits, wanted, reduction="none") * box_window(
        boxes, logits.shape[1:]
    )
    cells = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) * logits.shape[1] * logits.shape[2]
    return (cross.sum(dim=(1, 2)) / cells).sum() * (count / len(chosen))


def box_window(boxes: Tensor, mask_hw: tuple[int, ...]) -> Tensor:
    """(n, mh, mw): 1 within the box and one cell around it, as the masks are cropped in use."""
    h, w = mask_hw
    x, y = torch.arange(w), torch.arange(h)
    x1, y1, x2, y2 = (boxes * torch.tensor([w, h, w, h])).unbind(dim=1)
    columns = (x >= x1[:, None] - 1) & (x < x2[:, None] + 1)
    rows = (y >= y1[:, None] - 1) & (y < y2[:, None] + 1)
    return (rows[:, :, None] & columns[:, None, :]).float()


def segmentation_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Sigmoid cross-entropy against the union of each class's masks, summed over classes, mean over cells."""
    count, _, h, w = logits.shape
    wanted = torch.zeros_like(logits)
    for k in range(count):
        if len(batch.classes[k]):
            small = interpolate(batch.masks[k][:, None].float() / 255, (h, w), mode="area")[:, 0]
            index = batch.classes[k][:, None, None].expand_as(small)
            wanted[k] = wanted[k].scatter_reduce(0, index, (small > 0.5).float(), "amax")
    weight = (wanted > 0) | batch.counted[:, :, None, None]
    cross = binary_cross_entropy_with_logits(logits, wanted, weight.float(), reduction="sum")
    return cross / (count * h * w)
