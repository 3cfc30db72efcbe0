"""Which places learn an object, and the losses against hand values and torchvision's."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torchvision.ops import generalized_box_iou  # noqa: E402

from streamseg.models.network import build_network  # noqa: E402
from streamseg.models.picodet.decode import joint_scores  # noqa: E402
from streamseg.models.picodet.network import PicoDet, PicoHeads, level_points  # noqa: E402
from streamseg.training.canvas import Canvas, Patch  # noqa: E402
from streamseg.training.class_objective import ClassObjective, turned  # noqa: E402
from streamseg.training.detector_losses import (  # noqa: E402
    compute_detector_losses,
    distances,
    distribution_loss,
    generalised_iou,
    ignored,
    log_scores,
    places_for_objects,
    varifocal,
)
from streamseg.training.mixture import Batch, collate  # noqa: E402
from streamseg.training.objective import PicoDetObjective, make_objective  # noqa: E402


def test_sure_places_near_the_object_stand_for_it() -> None:
    """Five places, two objects of classes 1 and 0. The first is sure and exact; the second half as sure; the
    third exact but outside; the fourth overlaps both objects, the other one more; the last lies far off."""
    objects = torch.tensor([[0.0, 0, 0.4, 0.4], [0.2, 0, 0.6, 0.4]])
    boxes = torch.tensor(
        [[0, 0, 0.4, 0.4], [0, 0, 0.4, 0.4], [0, 0, 0.4, 0.4], [0.2, 0, 0.6, 0.4], [0.8, 0.8, 1, 1]]
    )
    centres = torch.tensor([[0.1, 0.1], [0.1, 0.1], [0.5, 0.9], [0.3, 0.1], [0.9, 0.9]])
    scores = torch.full((5, 2), 0.5)
    scores[:2, 1] = torch.tensor([0.8, 0.4])

    assigned = places_for_objects(boxes, scores, centres, objects, torch.tensor([1, 0]))

    torch.testing.assert_close(assigned.wanted, torch.tensor([1.0, 0.5, 0, 1, 0]))
    assert assigned.row[[0, 1, 3]].tolist() == [0, 0, 1]


def test_no_more_than_thirteen_places_to_an_object() -> None:
    boxes = torch.tensor([[0.0, 0, 1, 1]]).repeat(20, 1)
    scores = torch.linspace(0.1, 0.9, 20)[:, None]
    assigned = places_for_objects(boxes, scores, torch.full((20, 2), 0.5), boxes[:1], torch.tensor([0]))
    assert (assigned.wanted > 0).nonzero().flatten().tolist() == list(range(7, 20))
    nothing = places_for_objects(
        boxes, scores, torch.full((20, 2), 0.5), boxes[:0], torch.tensor([], dtype=torch.int64)
    )
    assert not nothing.wanted.any()


def test_varifocal_by_hand() -> None:
    score = torch.tensor([0.2, 0.5, 0.9])
    found = varifocal(score.log(), torch.tensor([0.0, 0.8, 0.0]))
    entropy = -(0.8 * math.log(0.5) + 0.2 * math.log(0.5))
    wanted = [-0.75 * 0.2**2 * math.log(0.8), 0.8 * entropy, -0.75 * 0.9**2 * math.log(0.1)]
    torch.testing.assert_close(found, torch.tensor(wanted))


def test_the_logarithm_of_a_score_is_that_of_the_engine() -> None:
    heads = PicoHeads(*(torch.randn(2, 5, n) for n in (3, 1, 32, 1, 1, 1)))
    found = log_scores(heads.logits, heads.alignment).exp()
    torch.testing.assert_close(found, joint_scores(heads), rtol=1e-4, atol=1e-6)


def test_generalised_iou_is_torchvisions() -> None:
    corners = torch.rand(40, 2, 4)
    boxes = torch.cat((corners[..., :2], corners[..., :2] + 0.01 + corners[..., 2:]), -1)
    wanted = generalized_box_iou(boxes[:, 0], boxes[:, 1]).diagonal()
    torch.testing.assert_close(generalised_iou(boxes[:, 0], boxes[:, 1]), wanted)


def test_sides_by_hand() -> None:
    """A place at (12, 20), stride 8; 1.25 strides to the left: three quarters of bin 1, one of bin 2."""
    apart = distances(torch.tensor([[12.0, 20, 8]]), torch.tensor([[2.0, 20, 28, 100]]))
    torch.testing.assert_close(apart, torch.tensor([[1.25, 0, 2, 10]]))
    logits = torch.full((1, 4, 8), -40.0)
    logits[0, 0, 1:3] = 0
    logits[0, [1, 2, 3], [0, 2, 7]] = 0
    # The first side: both bins have a half. The last is beyond the reach of eight bins and says so.
    found = distribution_loss(logits.flatten(1), apart)
    assert found.item() == pytest.approx((math.log(2) + 0 + 0 + 0.001 * 40) / 4, rel=1e-3)


def test_regions_to_ignore() -> None:
    boxes = torch.tensor([[0.0, 0, 0.5, 0.5], [0, 0, 1, 1]])
    assert ignored(boxes, torch.tensor([[0.0, 0, 0.6, 0.6]])).tolist() == [True, False]
    assert ignored(boxes, torch.zeros(0, 4)).tolist() == [False, False]


def batch_of(mask: np.ndarray | None) -> Batch:
    patches = [] if mask is None else [Patch(1, False, mask, float((mask > 0).sum()))]
    image = np.full((64, 96, 3), 90, np.uint8)
    if mask is not None:
        image[mask > 0] = (40, 200, 240)
    return collate([Canvas(image, np.ones(2, bool), patches).sample((16, 24))] * 2)


def picodet() -> PicoDet:
    torch.manual_seed(0)
    made = build_network("picodet_s", ("a", "b"), (64, 96))
    assert isinstance(made, PicoDet)
    return made


def test_a_picture_without_objects_only_asks_for_silence() -> None:
    model = picodet()
    heads = model.train()(torch.randn(2, 3, 64, 96))
    losses = compute_detector_losses(heads, level_points((64, 96)), batch_of(None))
    assert losses["score"] > 0
    assert losses["box"] == losses["sides"] == 0
    torch.stack(tuple(losses.values())).sum().backward()
    assert all(head.classify.weight.grad is not None for head in model.heads)


@pytest.mark.slow
def test_an_object_is_learnt_with_its_mask_and_statistics_stay() -> None:
    mask = np.zeros((64, 96), np.uint8)
    mask[8:56, 20:80] = 255
    batch = batch_of(mask)
    objective = make_objective(picodet(), mixed=False)
    assert isinstance(objective, PicoDetObjective)
    objective.model.train()
    statistics = {k: v.clone() for k, v in objective.model.state_dict().items() if "running" in k}
    optimizer = torch.optim.AdamW(objective.parameters(), 2e-3)
    history = []
    for _ in range(30):
        losses = objective(batch)
        optimizer.zero_grad()
        torch.stack(tuple(losses.values())).sum().backward()
        optimizer.step()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
    assert list(history[0]) == ["score", "box", "sides", "cross", "dice"]
    assert history[-1]["box"] < 0.8 * history[0]["box"]
    assert history[-1]["score"] < history[0]["score"]
    for key, value in statistics.items():
        assert objective.model.state_dict()[key].equal(value), key


def test_boxes_turn_with_their_pictures() -> None:
    """A bright patch, and where its box is after each number of quarters."""
    image = np.zeros((64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[4:12, 20:60] = 255
    image[mask > 0] = 255
    regions = [Patch(0, False, mask, 320.0), Patch(1, False, mask, 320.0)]
    batch = collate([Canvas(image, np.ones(2, bool), regions).sample((16, 16))])
    for quarters in range(4):
        seen = turned(batch, quarters, classes=1)
        rows, columns = np.nonzero(seen.images[0, :, :, 0].numpy())
        around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        torch.testing.assert_close(seen.boxes[0], torch.tensor([around], dtype=torch.float32) / 64)
        torch.testing.assert_close(seen.ignored[0], seen.boxes[0])  # the class that is not known
        assert seen.classes[0].tolist() == [0]
        assert seen.counted.shape == (1, 1)


@pytest.mark.slow
def test_only_the_class_layers_learn_and_only_of_turned_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr("streamseg.training.class_objective.TURNS", (1,))
    model = build_network("picodet_s", ("a", "b"), (64, 64))
    assert isinstance(model, PicoDet)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    objective = ClassObjective(model.train(), mixed=False)
    mask = np.zeros((64, 64), np.uint8)
    mask[8:56, 12:50] = 255
    patches = [Patch(1, False, mask, 48 * 38.0)]
    canvas = Canvas(np.full((64, 64, 3), 90, np.uint8), np.ones(2, bool), patches)
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], 1e-2)
    losses = objective(collate([canvas.sample((16, 16))] * 2))
    assert losses["stay"] == 0
    torch.stack(tuple(losses.values())).sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"heads.{k}.classify.{part}" for k in range(4) for part in ("weight", "bias")}
    assert objective(collate([canvas.sample((16, 16))] * 2))["stay"] > 0
    monkeypatch.setattr("streamseg.training.class_objective.TURNS", (0,))
    assert objective(collate([canvas.sample((16, 16))] * 2)).keys() == {"stay"}
