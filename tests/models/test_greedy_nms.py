"""Greedy NMS of fixed shape against the loop that defines it."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torch import Tensor  # noqa: E402

from streamseg.models.corners import Corners  # noqa: E402
from streamseg.models.greedy_nms import BLOCK, greedy_survivors  # noqa: E402

IOU = 0.6


def crowd(count: int, places: int, classes: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (1, n, 4) jittered around a few places, by descending score; some of them take no part."""
    rng = torch.Generator().manual_seed(seed)
    centre = torch.rand(places, 2, generator=rng)[torch.randint(places, (count,), generator=rng)]
    centre = centre + 0.04 * torch.randn(count, 2, generator=rng)
    half = 0.1 + 0.02 * torch.randn(count, 2, generator=rng)
    scores = torch.rand(count, generator=rng).sort(descending=True).values
    scores[-count // 10 :] = 0
    kind = torch.randint(classes, (count,), generator=rng)
    return torch.cat((centre - half, centre + half), 1)[None], scores[None], kind[None]


def by_the_loop(boxes: Tensor, scores: Tensor, classes: Tensor | None, most: int) -> list[int]:
    from torchvision.ops import box_iou

    rivals = box_iou(boxes, boxes) > IOU
    if classes is not None:
        rivals &= classes[:, None] == classes
    over, gone = rivals.numpy(), (scores <= 0).numpy()
    kept: list[int] = []
    for i in range(len(boxes)):
        if not gone[i]:
            kept.append(i)
            gone = gone | over[i]
    return kept[:most]


@pytest.mark.parametrize("count", [40, BLOCK, 3 * BLOCK + 60])
@pytest.mark.parametrize("of_one_class", [False, True])
def test_keeps_what_the_loop_keeps(count: int, of_one_class: bool) -> None:
    crowds = [crowd(count, 12, 3, seed) for seed in range(2)]
    boxes, scores, classes = (torch.cat(parts) for parts in zip(*crowds, strict=True))

    found = greedy_survivors(
        Corners(*boxes.unbind(-1)), scores, None if of_one_class else classes, IOU, most=30
    )

    for b in range(2):
        want = by_the_loop(boxes[b], scores[b], None if of_one_class else classes[b], 30)
        assert 5 < len(want) < count
        assert found.rows[b, : len(want)].tolist() == want
        assert found.scores[b, : len(want)].equal(scores[b, want])
        assert not found.scores[b, len(want) :].any()


def test_a_suppressed_box_suppresses_nothing() -> None:
    """Three boxes in a row: the first takes the second away, which would have taken the third."""
    left = torch.tensor([[0.0, 0.2, 0.4]])
    boxes = Corners(left, torch.zeros(1, 3), left + 1, torch.ones(1, 3))

    found = greedy_survivors(boxes, torch.tensor([[0.9, 0.8, 0.7]]), None, IOU, most=3)

    assert found.rows[0, :2].tolist() == [0, 2]
    assert found.scores[0].tolist() == pytest.approx([0.9, 0.7, 0])
