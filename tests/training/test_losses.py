"""Losses against values worked out by hand."""

from math import log

import pytest
import torch
from torch import Tensor

from streamseg.models.yolact.yolact import RawHeads
from streamseg.training.losses import (
    MASK_WEIGHT,
    SOFT,
    box_window,
    compute_losses,
    conf_loss,
    segmentation_loss,
)
from streamseg.training.matching import encode
from streamseg.training.mixture import Batch

COUNTED = torch.ones(1, 2, dtype=torch.bool)


def batch_of(box: tuple[float, ...], mask: Tensor, class_id: int = 0, counted: Tensor = COUNTED) -> Batch:
    return Batch(
        images=torch.zeros(1, 32, 32, 3, dtype=torch.uint8),
        boxes=[torch.tensor([box])],
        classes=[torch.tensor([class_id])],
        masks=[mask[None]],
        segments=[mask[None, ::2, ::2]],
        centres=[torch.zeros(1, 2)],
        ignored=[torch.zeros(0, 4)],
        counted=counted,
        names=("",),
    )


def test_hardest_negatives_only() -> None:
    wanted = SOFT.least_negatives
    conf = torch.zeros(1, wanted + 10, 3)
    conf[0, :10, 0] = 20.0  # sure of the background: not hard
    target = torch.zeros(1, wanted + 10, dtype=torch.int64)

    loss = conf_loss(conf, target, COUNTED, SOFT.least_negatives)

    assert float(loss) == pytest.approx(wanted * log(3), rel=1e-5)


def test_neutral_priors_cost_nothing() -> None:
    target = torch.full((1, 50), -1)
    target[0, 0] = 2

    loss = conf_loss(torch.zeros(1, 50, 3), target, COUNTED, SOFT.least_negatives)

    assert float(loss) == pytest.approx(log(3))


def test_three_negatives_to_a_positive() -> None:
    target = torch.zeros(1, 400, dtype=torch.int64)
    target[0, :40] = 1

    loss = conf_loss(torch.zeros(1, 400, 3), target, COUNTED, 0)

    assert float(loss) == pytest.approx(160 * log(3), rel=1e-5)


def test_uncounted_classes_are_not_pushed_down_by_background() -> None:
    conf = torch.zeros(1, 5, 3, requires_grad=True)
    target = torch.zeros(1, 5, dtype=torch.int64)

    conf_loss(conf, target, torch.tensor([[True, False]]), 5).backward()

    assert conf.grad is not None
    assert (conf.grad[..., 1] > 0).all()
    assert (conf.grad[..., 2] == 0).all()


def test_box_window_is_one_cell_wider_than_the_box() -> None:
    window = box_window(torch.tensor([[0.25, 0.5, 0.5, 0.75]]), (8, 8))[0]

    rows, columns = window.nonzero().unbind(dim=1)
    assert (int(rows.min()), int(rows.max())) == (3, 6)
    assert (int(columns.min()), int(columns.max())) == (1, 4)


def perfect_heads(batch: Batch, priors: Tensor, logit: float) -> RawHeads:
    """Heads that say what the batch says: two prototypes, the mask and what is not the mask."""
    inside = batch.masks[0][0].float() / 255
    proto = torch.stack((inside, 1 - inside), dim=-1)[None] * logit
    coeff = torch.tensor([[1.0, -1.0]]).expand(1, len(priors), 2)
    conf = torch.zeros(1, len(priors), 3)
    conf[..., 0] = logit
    conf[0, 0] = torch.tensor([0.0, logit, 0.0])
    loc = encode(batch.boxes[0].expand(len(priors), 4), priors)[None]
    return RawHeads(loc, conf, coeff, proto)


def test_perfect_heads_cost_nothing_and_blank_ones_the_entropy() -> None:
    mask = torch.zeros(8, 8, dtype=torch.uint8)
    mask[2:6, 2:6] = 255
    batch = batch_of((0.25, 0.25, 0.75, 0.75), mask)
    priors = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]])
    segmentation = torch.full((1, 2, 4, 4), -30.0)
    segmentation[0, 0, 1:3, 1:3] = 30.0
    perfect = perfect_heads(batch, priors, 30.0)

    good = compute_losses(perfect, segmentation, priors, batch, SOFT)
    blank = compute_losses(
        perfect._replace(proto=torch.zeros_like(perfect.proto)), segmentation, priors, batch, SOFT
    )

    assert sum(float(loss) for loss in good.values()) == pytest.approx(0, abs=1e-5)
    # ln 2 in each of the 6 × 6 cells of the window, by the 4 × 4 cells of the box.
    assert float(blank["mask"]) == pytest.approx(MASK_WEIGHT * log(2) * 36 / 16, rel=1e-5)


def test_segmentation_of_uncounted_classes_costs_nothing() -> None:
    mask = torch.full((8, 8), 255, dtype=torch.uint8)
    batch = batch_of((0.0, 0.0, 1.0, 1.0), mask, counted=torch.tensor([[True, False]]))
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0] = 30.0

    assert float(segmentation_loss(logits, batch)) == pytest.approx(0, abs=1e-6)
