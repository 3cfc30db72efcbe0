"""The losses of a PicoDet's mask branch, on the boxes that its detector finds.

A mask is learnt where it will be needed: at the locations whose own box lies on an object and whose score is
high, within that box, not within the true one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from streamseg.models.picodet.decode import decoded_boxes, joint_scores
from streamseg.models.picodet.mask_branch import mask_logits
from streamseg.models.picodet.network import PicoDet, PicoHeads
from streamseg.training.losses import box_window
from streamseg.training.matching import pairwise_iou
from streamseg.training.mixture import Batch

__all__ = ["compute_shape_losses"]

LEAST_IOU = 0.5
LOCATIONS_PER_OBJECT = 5
MAX_MASKS_PER_IMAGE = 64


class Chosen(NamedTuple):
    """n locations of one picture and the object that each is about."""

    location: Tensor
    """(n,)"""
    row: Tensor
    """(n,)"""


def compute_shape_losses(model: PicoDet, heads: PicoHeads, points: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The losses of one batch, float32 scalars by name; their sum is what is minimised.

    `points` (P, 3) as `level_points` gives them.
    """
    size_hw = batch.images.shape[1], batch.images.shape[2]
    with torch.no_grad():
        boxes = torch.stack(decoded_boxes(heads.distribution.float(), points, size_hw), -1)
        scores = joint_scores(heads)
    seen, proto, scenery = heads.seen.float(), heads.proto.float(), heads.scenery.float()
    # Zero, but attached to the branch: gradients are shared between processes, with or without objects.
    unused = model.coefficients(seen[:, :1], points[None, :1, 2].expand(len(seen), 1), boxes[:, :1], scenery)
    cross = dice = proto.sum() * 0 + unused[0].sum() * 0 + unused[1].sum() * 0
    count = 0
    for k in range(len(batch.images)):
        chosen = choose(boxes[k], scores[k].float(), batch.boxes[k], batch.classes[k])
        if not len(chosen.location):
            continue
        found = boxes[k, chosen.location]
        factors, grid = model.coefficients(
            seen[k : k + 1, chosen.location],
            points[None, chosen.location, 2],
            found[None],
            scenery[k : k + 1],
        )
        logits = mask_logits(factors, grid, proto[k : k + 1], found[None])[0]
        wanted = batch.masks[k][chosen.row].float() / 255
        window = box_window(found, (logits.shape[1], logits.shape[2]))
        cross = cross + cross_entropy(logits, wanted, window).sum()
        dice = dice + soft_dice(logits, wanted, window).sum()
        count += len(chosen.location)
    return {"cross": cross / max(count, 1), "dice": dice / max(count, 1)}


def choose(boxes: Tensor, scores: Tensor, objects: Tensor, classes: Tensor) -> Chosen:
    """Of P locations' boxes (P, 4) and scores (P, C), for each object (n, 4) those that would stand for it.

    An object whose class the detector does not know, C or more, is taken by whatever it is called.
    """
    if not len(objects):
        return Chosen(classes, classes)
    overlap = pairwise_iou(boxes, objects)
    overlap = torch.where(overlap == overlap.amax(1, keepdim=True), overlap, 0.0)
    known = classes < scores.shape[1]
    score = torch.where(
        known, scores[:, classes.clamp(max=scores.shape[1] - 1)], scores.amax(1, keepdim=True)
    )
    quality = torch.where(overlap >= LEAST_IOU, overlap * score, 0.0)
    best, location = quality.topk(min(LOCATIONS_PER_OBJECT, len(boxes)), dim=0)
    row = torch.arange(len(objects), device=boxes.device).expand_as(location)
    location, row = location[best > 0], row[best > 0]
    if len(location) > MAX_MASKS_PER_IMAGE:
        kept = torch.randperm(len(location))[:MAX_MASKS_PER_IMAGE].to(location.device)
        location, row = location[kept], row[kept]
    return Chosen(location, row)


def cross_entropy(logits: Tensor, wanted: Tensor, window: Tensor) -> Tensor:
    """(n,) mean over the window."""
    cross = binary_cross_entropy_with_logits(logits, wanted, reduction="none") * window
    return cross.sum((1, 2)) / window.sum((1, 2)).clamp(min=1)


def soft_dice(logits: Tensor, wanted: Tensor, window: Tensor) -> Tensor:
    """(n,) 0 where both are the same."""
    soft, wanted = logits.sigmoid() * window, wanted * window
    shared = (soft * wanted).sum((1, 2))
    return 1 - (2 * shared + 1) / (soft.square().sum((1, 2)) + wanted.square().sum((1, 2)) + 1)
