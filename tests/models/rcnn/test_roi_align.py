"""RoIAlign on one map of all levels against torchvision's, a level at a time."""

from __future__ import annotations

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torch import Tensor  # noqa: E402
from torchvision.ops import MultiScaleRoIAlign, roi_align  # noqa: E402

from streamseg.models.corners import Corners  # noqa: E402
from streamseg.models.rcnn.config import CONTINUOUS, TORCHVISION  # noqa: E402
from streamseg.models.rcnn.roi_align import PyramidMap  # noqa: E402

SIZE_HW = (256, 320)
STRIDES = (4, 8, 16, 32)


@pytest.fixture(scope="module")
def levels() -> list[Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(2, 5, SIZE_HW[0] // s, SIZE_HW[1] // s, generator=rng) for s in STRIDES]


def boxes() -> Tensor:
    """(2, 40, 4): of 5 to 256 pixels, at the borders as well."""
    rng = torch.Generator().manual_seed(1)
    extent = torch.tensor([SIZE_HW[1], SIZE_HW[0]], dtype=torch.float32)
    sides = 5 * 50 ** torch.rand(2, 40, 1, generator=rng) * torch.tensor([1.0, 0.9])
    low = torch.rand(2, 40, 2, generator=rng) * extent - sides / 3
    low = low.clamp(min=0).minimum(extent - 5)
    return torch.cat((low, (low + sides).minimum(extent)), 2)


def test_equals_torchvision(levels: list[Tensor]) -> None:
    found = PyramidMap(levels).pooled(Corners(*boxes().unbind(-1)), 7, TORCHVISION)

    pool = MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=7, sampling_ratio=2)
    named = OrderedDict((str(k), level) for k, level in enumerate(levels))
    expected = pool(named, list(boxes()), [SIZE_HW, SIZE_HW])
    assert torch.allclose(found, expected, atol=1e-4)


def test_adaptive_samples_and_half_a_cell(levels: list[Tensor]) -> None:
    found = PyramidMap(levels).pooled(Corners(*boxes().unbind(-1)), 7, CONTINUOUS).view(2, 40, 5, 7, 7)

    side = ((boxes()[..., 2:] - boxes()[..., :2]).prod(-1)).sqrt()
    chosen = torch.log2(side / 56 + 1e-6).floor().clamp(0, 3).long()
    assert chosen.unique().tolist() == [0, 1, 2]
    for k, stride in enumerate(STRIDES):
        own = [picture[at == k] for picture, at in zip(boxes(), chosen, strict=True)]
        expected = roi_align(levels[k], own, 7, 1 / stride, -1, aligned=True)
        assert torch.allclose(found[chosen == k], expected, atol=1e-4)
