"""A mask's logits by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.models.picodet.mask_branch import hats, mask_logits  # noqa: E402


def test_hats_interpolate_between_the_middles_of_parts() -> None:
    """A box over cells 2…6 of 8 with two knots, at 3 and 5; cells' centres at ½, 1½, …"""
    weights = hats(torch.tensor([0.25]), torch.tensor([0.75]), 8, 2)[0]
    assert weights[:, 1].tolist() == pytest.approx([0, 0, 0, 0.25, 0.75, 1, 1, 1])
    assert weights.sum(1).tolist() == pytest.approx([1] * 8)


def test_logits_are_prototypes_and_the_grid_stretched_over_the_box() -> None:
    proto = torch.zeros(1, 2, 4, 4)
    proto[0, 0, :, 0] = 1.0
    proto[0, 1] = 10.0
    factors = torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])
    grid = torch.zeros(1, 2, 2, 2)
    grid[0, 1] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]])
    logits = mask_logits(factors, grid, proto, boxes)
    assert logits[0, 0].tolist() == [[3, 0, 0, 0]] * 4
    across = torch.tensor([0, 0.25, 0.75, 1])
    assert torch.allclose(logits[0, 1], 11 + across + 2 * across[:, None])


def test_a_box_without_extent_gives_numbers() -> None:
    boxes = torch.full((1, 1, 4), 0.5)
    logits = mask_logits(torch.zeros(1, 1, 1), torch.ones(1, 1, 3, 3), torch.zeros(1, 1, 4, 4), boxes)
    assert torch.equal(logits, torch.ones(1, 1, 4, 4))
