"""Which prior is responsible for which object (YOLACT, dbolya's `match`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Match", "corners_from_centres", "encode", "intersection", "match", "pairwise_iou"]

POSITIVE_IOU = 0.5
NEGATIVE_IOU = 0.4
IGNORED_SHARE = 0.7
VARIANCES = (0.1, 0.2)


class Match(NamedTuple):
    """For each of P priors."""

    target: Tensor
    """(P,) int64: 1 + class, 0 = background, −1 = neither."""
    row: Tensor
    """(P,) int64: the object it looks at; meaningless without objects."""


def corners_from_centres(boxes: Tensor) -> Tensor:
    """(…, 4) cx cy w h → x1 y1 x2 y2."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """(n, m) areas shared by boxes (n, 4) and (m, 4) given by corners."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    return (high - low).clamp(min=0).prod(dim=2)


def areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """(n, m) of boxes (n, 4) and (m, 4) given by corners; 0 where neither has an area."""
    shared = intersection(a, b)
    return shared / (areas(a)[:, None] + areas(b)[None] - shared).clamp(min=1e-9)


def match(priors: Tensor, boxes: Tensor, classes: Tensor, ignored: Tensor) -> Match:
    """Match P priors (centre form) to n objects (corner form), n ≥ 0; m ignored regions (corner form).

    IoU ≥ 0.5 is positive, < 0.4 background, between them neither; each object claims one prior in any
    case, the surest pair first. Priors of which more than 0.7 lie in an ignored region are not background.
    """
    corners = corners_from_centres(priors)
    target = torch.zeros(len(priors), dtype=torch.int64, device=priors.device)
    row = torch.zeros_like(target)
    if len(boxes):
        shared = intersection(boxes, corners)
        iou = shared / (areas(boxes)[:, None] + areas(corners)[None] - shared)
        best, row = iou.max(dim=0)
        _claim(iou, best, row)
        target = classes[row] + 1
        target[best < POSITIVE_IOU] = -1
        target[best < NEGATIVE_IOU] = 0
    if len(ignored):
        inside = (intersection(corners, ignored) / areas(corners)[:, None]).amax(dim=1)
        target[(target == 0) & (inside > IGNORED_SHARE)] = -1
    return Match(target, row)


def _claim(iou: Tensor, best: Tensor, row: Tensor) -> None:
    """Let each object take the prior it overlaps most, in place; a prior is taken once."""
    open_pairs = iou.clone()
    for _ in range(len(iou)):
        per_object, priors = open_pairs.max(dim=1)
        k = int(per_object.argmax())
        prior = int(priors[k])
        open_pairs[k] = -1
        open_pairs[:, prior] = -1
        best[prior], row[prior] = 2.0, k


def encode(boxes: Tensor, priors: Tensor) -> Tensor:
    """(n, 4) box offsets as the network predicts them: corners `boxes` relative to centre-form `priors`."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    shift = (centre - priors[:, :2]) / (VARIANCES[0] * priors[:, 2:])
    return torch.cat((shift, torch.log(size / priors[:, 2:]) / VARIANCES[1]), dim=1)
