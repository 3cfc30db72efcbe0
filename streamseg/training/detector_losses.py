"""The losses of PicoDet's detector: which places are responsible for an object, and what they should say.

Task-aligned assignment (Feng et al., "TOOD", 2021): the places within an object that are both sure of its
class and near its box. Varifocal loss of their score (Zhang et al. 2020), generalised IoU of their box, and
the distribution of its sides (Li et al., "Generalized Focal Loss", 2020), weighted as in
PaddleDetection.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from streamseg.models.picodet.decode import decoded_boxes
from streamseg.models.picodet.network import PicoHeads
from streamseg.training.matching import intersection, pairwise_iou
from streamseg.training.mixture import Batch

__all__ = ["compute_detector_losses"]

PLACES_PER_OBJECT = 13
BOX_POWER = 6
"""Of the IoU in what places are ranked by; the score has 1."""
BOX_WEIGHT, SIDES_WEIGHT = 2.5, 0.5
NEGATIVE_WEIGHT, NEGATIVE_POWER = 0.75, 2.0
IGNORED_SHARE = 0.7
SURE = 1 - 1e-6


class Assignment(NamedTuple):
    """For P places of one picture."""

    wanted: Tensor
    """(P,) the score that a place should have for its object's class; 0 where it has no object."""
    row: Tensor
    """(P,) int64, its object; meaningless without one."""


def compute_detector_losses(heads: PicoHeads, points: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The weighted losses of one batch, float32 scalars by name; their sum is what is minimised.

    `points` (P, 3) as `level_points` gives them.
    """
    size_hw = batch.images.shape[1], batch.images.shape[2]
    distribution = heads.distribution.float()
    boxes = torch.stack(decoded_boxes(distribution, points, size_hw), -1)
    sure = log_scores(heads.logits.float(), heads.alignment.float())
    size = boxes.new_tensor((size_hw[1], size_hw[0]) * 2)
    # Zero, but attached to the heads: gradients are shared between processes, with or without objects.
    score = box = sides = distribution.sum() * 0 + sure.sum() * 0
    total = boxes.new_zeros(())
    for k in range(len(batch.images)):
        objects, classes = batch.boxes[k], batch.classes[k]
        with torch.no_grad():
            assigned = places_for_objects(boxes[k], sure[k].exp(), points[:, :2] / size[:2], objects, classes)
            wanted = torch.zeros_like(sure[k])
            mine = assigned.wanted > 0
            wanted[mine, classes[assigned.row[mine]]] = assigned.wanted[mine]
            judged = batch.counted[k].expand_as(wanted) & ~ignored(boxes[k], batch.ignored[k]).unsqueeze(1)
        score = score + (varifocal(sure[k], wanted) * (judged | (wanted > 0))).sum()
        if mine.any():
            weight, truth = assigned.wanted[mine], objects[assigned.row[mine]]
            box = box + ((1 - generalised_iou(boxes[k][mine], truth)) * weight).sum()
            apart = distances(points[mine], truth * size)
            sides = sides + (distribution_loss(distribution[k][mine], apart) * weight).sum()
            total = total + weight.sum()
    total = total.clamp(min=1)
    return {"score": score / total, "box": BOX_WEIGHT * box / total, "sides": SIDES_WEIGHT * sides / total}


def log_scores(logits: Tensor, alignment: Tensor) -> Tensor:
    """(B, P, C) logarithm of `joint_scores`."""
    return (logsigmoid(logits) + logsigmoid(alignment)) / 2


def places_for_objects(
    boxes: Tensor, scores: Tensor, centres: Tensor, objects: Tensor, classes: Tensor
) -> Assignment:
    """Of P places' boxes (P, 4), scores (P, C) and centres (P, 2), those that stand for one of n objects
    (n, 4), all relative. An object's best place should have as score the best IoU with it."""
    if not len(objects):
        return Assignment(boxes.new_zeros(len(boxes)), classes.new_zeros(len(boxes)))
    overlap = pairwise_iou(boxes, objects)
    inside = ((centres[:, None] > objects[:, :2]) & (centres[:, None] < objects[:, 2:])).all(-1)
    rank = torch.where(inside, scores[:, classes] * overlap**BOX_POWER, 0.0)
    least = rank.topk(min(PLACES_PER_OBJECT, len(boxes)), dim=0).values[-1]
    taken = (rank > 0) & (rank >= least)
    # A place among several objects is for the one that it overlaps most.
    held = torch.where(taken, overlap, -1.0)
    taken = taken & (held == held.amax(1, keepdim=True))
    rank, overlap = rank * taken, overlap * taken
    wanted = rank / rank.amax(0).clamp(min=1e-12) * overlap.amax(0)
    best, row = wanted.max(1)
    return Assignment(best, row)


def ignored(boxes: Tensor, regions: Tensor) -> Tensor:
    """(P,) bool, of boxes (P, 4) those that lie by more than 0.7 in one of the regions (m, 4)."""
    if not len(regions):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1).clamp(min=1e-9)
    return (intersection(boxes, regions) / area[:, None]).amax(1) > IGNORED_SHARE


def varifocal(sure: Tensor, wanted: Tensor) -> Tensor:
    """Of logarithms of scores and what these should be, element by element. Where something is wanted its
    cross-entropy counts by how much is; elsewhere by how sure the score is."""
    score = sure.exp()
    weight = torch.where(wanted > 0, wanted, NEGATIVE_WEIGHT * score.detach() ** NEGATIVE_POWER)
    return -weight * (wanted * sure + (1 - wanted) * torch.log1p(-score.clamp(max=SURE)))


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """(n,) of boxes (n, 4) in pairs (Rezatofighi et al. 2019)."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = ((a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared).clamp(min=1e-9)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1).clamp(min=1e-9)
    return shared / union - (hull - union) / hull


def distances(points: Tensor, boxes: Tensor) -> Tensor:
    """(n, 4) left, top, right, bottom of boxes (n, 4) from points (n, 3), pixels, in strides."""
    centre = points[:, :2]
    return torch.cat((centre - boxes[:, :2], boxes[:, 2:] - centre), 1) / points[:, 2:]


def distribution_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """(n,) of logits (n, 4 · bins) and distances (n, 4): cross-entropy with the two bins next to each
    distance, shared by how near they are; the mean over the sides."""
    bins = logits.shape[1] // 4
    wanted = wanted.clamp(0, bins - 1 - 1e-3)
    lower = wanted.long()
    upper_share = wanted - lower
    flat = logits.reshape(-1, bins)
    both = [
        cross_entropy(flat, side.flatten(), reduction="none").view_as(wanted) for side in (lower, lower + 1)
    ]
    return (both[0] * (1 - upper_share) + both[1] * upper_share).mean(1)
