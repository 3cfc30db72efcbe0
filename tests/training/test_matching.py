"""Who looks at what, on boxes small enough to check by hand."""

import pytest
import torch

from streamseg.training.matching import corners_from_centres, encode, intersection, match

PRIORS = torch.tensor(
    [
        [0.25, 0.25, 0.5, 0.5],  # the object itself
        [0.25, 0.25, 0.5, 0.25],  # its upper or lower half: IoU ½ with it
        [0.25, 0.25, 0.5, 0.22],  # IoU .44
        [0.75, 0.75, 0.2, 0.2],  # elsewhere
    ]
)
OBJECT = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
NOTHING = torch.zeros(0, 4)


def test_thresholds() -> None:
    found = match(PRIORS, OBJECT, torch.tensor([2]), NOTHING)

    assert found.target.tolist() == [3, 3, -1, 0]


def test_without_objects_all_is_background() -> None:
    found = match(PRIORS, NOTHING, torch.zeros(0, dtype=torch.int64), NOTHING)

    assert found.target.tolist() == [0, 0, 0, 0]


def test_every_object_gets_a_prior_of_its_own() -> None:
    small = torch.tensor([[0.7, 0.7, 0.72, 0.72], [0.76, 0.76, 0.8, 0.8]])

    found = match(PRIORS, small, torch.tensor([0, 1]), NOTHING)

    assert sorted(found.row[found.target > 0].tolist()) == [0, 1]
    # The larger one has the higher IoU with the prior in the corner.
    assert (int(found.target[3]), int(found.row[3])) == (2, 1)


def test_ignored_regions_are_not_background() -> None:
    region = torch.tensor([[0.6, 0.6, 1.0, 1.0]])

    found = match(PRIORS, OBJECT, torch.tensor([2]), region)

    assert found.target.tolist() == [3, 3, -1, -1]


def test_ignored_regions_do_not_take_objects_away() -> None:
    everything = torch.tensor([[0.0, 0.0, 1.0, 1.0]])

    found = match(PRIORS, OBJECT, torch.tensor([2]), everything)

    assert found.target.tolist() == [3, 3, -1, -1]


def test_encode_is_undone_by_the_decoding_of_the_paper() -> None:
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.9]])
    prior = PRIORS[:1]

    loc = encode(boxes, prior)

    centre = prior[:, :2] + 0.1 * loc[:, :2] * prior[:, 2:]
    size = prior[:, 2:] * torch.exp(0.2 * loc[:, 2:])
    torch.testing.assert_close(corners_from_centres(torch.cat((centre, size), dim=1)), boxes)


def test_intersection() -> None:
    a = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    b = torch.tensor([[0.25, 0.25, 1.0, 1.0], [0.5, 0.0, 1.0, 1.0]])

    assert intersection(a, b).flatten().tolist() == pytest.approx([0.0625, 0.0])
