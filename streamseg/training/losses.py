"""The losses of YOLACT and YOLACT++ (Bolya et al. 2019 §3 and 2020 §6, dbolya's `MultiBoxLoss`).

`PUBLISHED` is theirs; a batch without any object, where they divide by zero, costs its segmentation alone.
`SOFT` differs in two ways, which suit small inputs: every picture has some negatives, also one without
objects; mask targets are the share of a cell that is covered, not that share cut at ½, which keeps the
position of an outline within a cell. In both, a class that is not annotated in a picture's data set takes
no part in its background loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss

from streamseg.models.yolact.yolact import RawHeads
from streamseg.training.matching import Match, encode, match
from streamseg.training.mixture import Batch

__all__ = ["PUBLISHED", "SOFT", "LossSettings", "compute_losses"]

BOX_WEIGHT = 1.5
MASK_WEIGHT = 6.125
MASK_IOU_WEIGHT = 25.0
NEGATIVES_PER_POSITIVE = 3
MAX_MASKS_PER_IMAGE = 100
LEAST_JUDGED_CELLS = 25
"""Masks of no more cells than this are not judged."""
HALF = 128
"""Bytes above it are more than one half: interpolation rounds ½ itself up to it."""
EXCLUDED_LOGIT = -1e4


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What may differ between two ways to train a YOLACT."""

    least_negatives: int
    """Background priors of a picture that are learnt from, however few objects it has."""
    soft_masks: bool
    """Targets are the share of a cell that is covered; else 1 where that is more than one half."""


PUBLISHED = LossSettings(least_negatives=0, soft_masks=False)
SOFT = LossSettings(least_negatives=30, soft_masks=True)


def compute_losses(
    heads: RawHeads,
    segmentation: Tensor,
    priors: Tensor,
    batch: Batch,
    settings: LossSettings,
    judge: nn.Module | None = None,
) -> dict[str, Tensor]:
    """The weighted losses of one batch, float32 scalars by name; their sum is what is minimised.

    `segmentation` (B, C, mh/2, mw/2) logits; `judge` is YOLACT++'s `MaskIouNet`.
    """
    heads = RawHeads(*(head.float() for head in heads))
    pictures = zip(batch.boxes, batch.classes, batch.ignored, strict=True)
    matches = [match(priors, boxes, classes, ignored) for boxes, classes, ignored in pictures]
    target = torch.stack([m.target for m in matches])
    positives = (target > 0).sum().clamp(min=1)
    conf = conf_loss(heads.conf, target, batch.counted, settings.least_negatives)
    # Zero, but attached to the heads: gradients are shared between processes, with or without objects.
    box, mask = heads.loc.sum() * 0, (heads.proto.sum() + heads.coeff.sum()) * 0
    drawn: list[Drawn] = []
    for k, found in enumerate(matches):
        chosen = (found.target > 0).nonzero()[:, 0]
        if len(chosen):
            box = box + box_loss(heads.loc[k], chosen, found, priors, batch.boxes[k])
            drawn.append(draw(heads, k, chosen, found, batch, settings))
            mask = mask + mask_loss(drawn[-1])
    losses = {
        "conf": conf / positives,
        "box": BOX_WEIGHT * box / positives,
        "mask": MASK_WEIGHT * mask / positives,
        "segmentation": segmentation_loss(segmentation.float(), batch),
    }
    if judge is not None:
        losses["mask_iou"] = MASK_IOU_WEIGHT * mask_iou_loss(judge, drawn) / positives
    return losses


def conf_loss(conf: Tensor, target: Tensor, counted: Tensor, least_negatives: int) -> Tensor:
    """Sum of the cross-entropy of positives and of the hardest background priors, three to a positive.

    `conf` (B, P, 1 + C) logits, `target` (B, P) as in Match, `counted` (B, C) bool.
    """
    positive = target > 0
    excluded = torch.cat((torch.zeros_like(counted[:, :1]), ~counted), dim=1)
    conf = conf.masked_fill(excluded[:, None] & ~positive[..., None], EXCLUDED_LOGIT)
    hardness = (conf.logsumexp(dim=2) - conf[..., 0]).detach().masked_fill(target != 0, -1.0)
    wanted = (NEGATIVES_PER_POSITIVE * positive.sum(dim=1)).clamp(min=least_negatives)
    rank = hardness.argsort(dim=1, descending=True).argsort(dim=1)
    chosen = positive | ((rank < wanted[:, None]) & (target == 0))
    return cross_entropy(conf[chosen], target[chosen], reduction="sum")


def box_loss(loc: Tensor, chosen: Tensor, found: Match, priors: Tensor, boxes: Tensor) -> Tensor:
    """Sum of smooth L1 over the offsets of the `chosen` priors of one picture."""
    wanted = encode(boxes[found.row[chosen]], priors[chosen])
    return smooth_l1_loss(loc[chosen], wanted, reduction="sum")


class Drawn(NamedTuple):
    """The masks of n positives of one picture."""

    logits: Tensor
    """(n, mh, mw)"""
    wanted: Tensor
    """(n, mh, mw), 0 … 1."""
    boxes: Tensor
    """(n, 4) of the objects, relative."""
    classes: Tensor
    """(n,)"""
    stand_for: float
    """How many positives each of them stands for: of more than 100 only 100 are drawn."""


def draw(
    heads: RawHeads, k: int, chosen: Tensor, found: Match, batch: Batch, settings: LossSettings
) -> Drawn:
    """The masks of the `chosen` priors of picture `k`, and what they should be."""
    count = len(chosen)
    if count > MAX_MASKS_PER_IMAGE:
        # On the CPU, so that a seed means the same on every device.
        chosen = chosen[torch.randperm(count)[:MAX_MASKS_PER_IMAGE].to(chosen.device)]
    rows = found.row[chosen]
    masks = batch.masks[k][rows]
    return Drawn(
        logits=torch.einsum("hwd,nd->nhw", heads.proto[k], heads.coeff[k, chosen]),
        wanted=masks.float() / 255 if settings.soft_masks else (masks > HALF).float(),
        boxes=batch.boxes[k][rows],
        classes=batch.classes[k][rows],
        stand_for=count / len(chosen),
    )


def mask_loss(drawn: Drawn) -> Tensor:
    """Sum over positives of the mean cross-entropy within the object's box."""
    mh, mw = drawn.logits.shape[1:]
    cross = binary_cross_entropy_with_logits(drawn.logits, drawn.wanted, reduction="none")
    cross = cross * box_window(drawn.boxes, (mh, mw))
    cells = (drawn.boxes[:, 2:] - drawn.boxes[:, :2]).prod(dim=1) * mh * mw
    return (cross.sum(dim=(1, 2)) / cells).sum() * drawn.stand_for


def box_window(boxes: Tensor, mask_hw: tuple[int, int]) -> Tensor:
    """(n, mh, mw): 1 within the box and one cell around it, as the masks are cropped in use."""
    h, w = mask_hw
    x, y = torch.arange(w, device=boxes.device), torch.arange(h, device=boxes.device)
    x1, y1, x2, y2 = (boxes * boxes.new_tensor([w, h, w, h])).unbind(dim=1)
    columns = (x >= x1[:, None] - 1) & (x < x2[:, None] + 1)
    rows = (y >= y1[:, None] - 1) & (y < y2[:, None] + 1)
    return (rows[:, :, None] & columns[:, None, :]).float()


def mask_iou_loss(judge: nn.Module, drawn: list[Drawn]) -> Tensor:
    """Sum of smooth L1 between what `judge` says of each mask and its IoU with the object."""
    # Zero, but attached to the judge, as above.
    loss = torch.stack([parameter.sum() for parameter in judge.parameters()]).sum() * 0
    for picture in drawn:
        wanted = (picture.wanted > 0.5).float()
        large = wanted.sum(dim=(1, 2)) > LEAST_JUDGED_CELLS
        if not large.any():
            continue
        mh, mw = wanted.shape[1:]
        soft = (picture.logits.sigmoid() * box_window(picture.boxes, (mh, mw)))[large]
        said = judge(soft).gather(1, picture.classes[large, None])[:, 0]
        hard, wanted = (soft.detach() > 0.5).float(), wanted[large]
        shared = (hard * wanted).sum(dim=(1, 2))
        iou = shared / (hard.sum(dim=(1, 2)) + wanted.sum(dim=(1, 2)) - shared)
        loss = loss + smooth_l1_loss(said, iou, reduction="sum")
    return loss


def segmentation_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Sigmoid cross-entropy against the union of each class's masks, summed over classes, mean over cells."""
    count, _, h, w = logits.shape
    wanted = torch.zeros_like(logits)
    for k in range(count):
        if len(batch.classes[k]):
            inside = (batch.segments[k] > HALF).float()
            index = batch.classes[k][:, None, None].expand_as(inside)
            wanted[k] = wanted[k].scatter_reduce(0, index, inside, "amax")
    weight = (wanted > 0) | batch.counted[:, :, None, None]
    cross = binary_cross_entropy_with_logits(logits, wanted, weight.float(), reduction="sum")
    return cross / (count * h * w)
