"""The losses of SOLOv2 (Wang et al. 2020; mmdetection's `SOLOV2Head`): focal on classes, Dice on masks.
Tested in tests/training/test_reference.py.

As there, a crowd is background: nothing of a picture is left out of the focal loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from streamseg.models.solo.solov2 import DynamicHeads
from streamseg.training.mixture import Batch
from streamseg.training.solo_targets import assign

__all__ = ["compute_solo_losses"]

MASK_WEIGHT = 3.0
FOCAL_POWER = 2.0
FOCAL_SHARE = 0.25
"""Weight of what is there; of what is not, one minus it."""
DICE_EPSILON = 1e-3
HALF = 128
"""Bytes from it on are inside: the original's resize rounds ½ up."""


def compute_solo_losses(
    heads: DynamicHeads, batch: Batch, grids: tuple[int, ...], input_hw: tuple[int, int]
) -> dict[str, Tensor]:
    """The weighted losses of one batch, float32 scalars by name; their sum is what is minimised."""
    category = heads.category.float()
    count, cells, num_classes = category.shape
    # Zero, but attached to the heads: gradients are shared between processes, with or without objects.
    dice = [heads.features.float().sum()[None] * 0 + heads.kernel.float().sum()[None] * 0]
    labels = torch.full((count, cells), num_classes, dtype=torch.int64, device=category.device)
    for k in range(count):
        found = assign(batch.boxes[k], batch.classes[k], batch.centres[k], num_classes, grids, input_hw)
        labels[k] = found.labels
        if len(found.cells):
            logits = heads.kernel[k, found.cells].float() @ heads.features[k].float().flatten(1)
            inside = (batch.masks[k] >= HALF).float().flatten(1)
            dice.append(dice_loss(logits.sigmoid(), inside[found.objects]))
    drawn = torch.cat(dice)
    positives = (labels < num_classes).sum()
    return {
        "category": focal_loss(category, labels).sum() / (positives + 1),
        "mask": MASK_WEIGHT * drawn.sum() / max(1, len(drawn) - 1),
    }


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """(…, C) for logits (…, C) and labels (…), C for background (Lin et al. 2017)."""
    classes = torch.arange(logits.shape[-1], device=logits.device)
    there = (labels[..., None] == classes).float()
    probability = logits.sigmoid()
    wrong = there * (1 - probability) + (1 - there) * probability
    weight = there * FOCAL_SHARE + (1 - there) * (1 - FOCAL_SHARE)
    return weight * wrong**FOCAL_POWER * binary_cross_entropy_with_logits(logits, there, reduction="none")


def dice_loss(soft: Tensor, wanted: Tensor) -> Tensor:
    """(m,) one minus the Dice coefficient of masks (m, cells) with squares in the denominator."""
    shared = (soft * wanted).sum(dim=1)
    squares = (soft * soft).sum(dim=1) + (wanted * wanted).sum(dim=1) + 2 * DICE_EPSILON
    return 1 - 2 * shared / squares
