"""Which locations learn which object, the losses by hand, and that a detector stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.models.network import build_network  # noqa: E402
from streamseg.models.picodet.network import PicoDet  # noqa: E402
from streamseg.training.canvas import Canvas, Patch  # noqa: E402
from streamseg.training.frozen_detector import FrozenDetector  # noqa: E402
from streamseg.training.mixture import collate  # noqa: E402
from streamseg.training.objective import MaskObjective, normalise  # noqa: E402
from streamseg.training.shape_losses import choose, cross_entropy, soft_dice  # noqa: E402

FAR = [5.0, 5, 6, 6]


def test_the_surest_boxes_that_lie_on_an_object_stand_for_it() -> None:
    """IoU 1, 1/3, 1 and 0 with the first object; the third is surer of its class than the first."""
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [0, 0, 2, 2], FAR])
    scores = torch.tensor([[0.2, 0.9], [0.9, 0.9], [0.6, 0.1], [0.9, 0.9]])
    objects = torch.tensor([[0.0, 0, 2, 2], [8, 8, 9, 9]])
    chosen = choose(boxes, scores, objects, torch.tensor([0, 1]))
    assert chosen.location.tolist() == [2, 0]
    assert chosen.row.tolist() == [0, 0]
    unknown = choose(boxes, scores, objects, torch.tensor([2, 2]))
    assert set(unknown.location.tolist()) == {0, 2}


def test_losses_by_hand() -> None:
    window = torch.tensor([[[1.0, 1, 1, 0]]])
    wanted = torch.tensor([[[1.0, 0, 0, 1]]])
    even = torch.zeros(1, 1, 4)
    assert cross_entropy(even, wanted, window).item() == pytest.approx(np.log(2))
    # 2 · ½ + 1 over 3/4 + 1 + 1
    assert soft_dice(even, wanted, window).item() == pytest.approx(1 - 2 / 2.75)
    assert soft_dice((wanted - 0.5) * 200, wanted, window).item() == pytest.approx(0)


def picodet() -> PicoDet:
    torch.manual_seed(0)
    made = build_network("picodet_s", ("a", "b"), (64, 96))
    assert isinstance(made, PicoDet)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("mixed", [False, True])
def test_masks_are_learnt_and_the_detector_is_not(mixed: bool) -> None:
    model = picodet()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    objective = MaskObjective(model.train(), mixed=mixed)
    mask = np.zeros((64, 96), np.uint8)
    mask[8:56, 20:80] = 255
    canvas = Canvas(np.full((64, 96, 3), 90, np.uint8), np.ones(2, bool), [Patch(0, False, mask, 48 * 60.0)])
    batch = collate([canvas.sample((16, 24))] * 2)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    losses = objective(batch)
    assert list(losses) == ["cross", "dice"]
    torch.stack(tuple(losses.values())).sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} <= {"prototypes", "coefficients"}
    assert any(name.startswith("prototypes") for name in changed)


def test_a_frozen_copy_computes_the_same() -> None:
    model = picodet().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    images = normalise(torch.randint(0, 255, (1, 64, 96, 3), dtype=torch.uint8), model.config)
    with torch.inference_mode():
        wanted = model(images)
        found = model.assemble(*FrozenDetector(model, torch.float32)(images))
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4)
