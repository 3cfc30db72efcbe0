"""RTMDet-Ins: sizes as published, heads of the shapes that the tail takes."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.errors import ConfigError  # noqa: E402
from streamseg.models.network import build_network  # noqa: E402
from streamseg.models.rtmdet.network import RtmDet, rtmdet_points  # noqa: E402


@pytest.mark.parametrize(
    ("size", "millions"), [("tiny", 5.6), ("s", 10.18), ("m", 27.58), ("l", 57.37), ("x", 102.7)]
)
def test_as_many_parameters_as_published(size: str, millions: float) -> None:
    with torch.device("meta"):
        model = build_network(f"rtmdet_ins_{size}")
    count = sum(p.numel() for p in model.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.05)


def test_heads_of_every_location() -> None:
    model = build_network("rtmdet_ins_tiny", ("a", "b"), (64, 96)).eval()
    assert isinstance(model, RtmDet)
    locations = 8 * 12 + 4 * 6 + 2 * 3
    with torch.inference_mode():
        heads = model(torch.randn(2, 3, 64, 96))
    assert heads.logits.shape == (2, locations, 2)
    assert heads.distances.shape == (2, locations, 4)
    assert heads.distances.min() >= 0
    assert heads.kernels.shape == (2, locations, 169)
    assert heads.features.shape == (2, 8, 8, 12)
    points = rtmdet_points((64, 96))
    assert points.shape == (locations, 3)
    assert points[13].tolist() == [8, 8, 8]
    assert points[8 * 12 + 7].tolist() == [16, 16, 16]
    assert points[-1].tolist() == [64, 32, 32]


def test_levels_share_convolutions_but_not_normalisation() -> None:
    model = build_network("rtmdet_ins_tiny", ("a",), (64, 64))
    keys = set(model.state_dict())
    assert {"head.cls_convs.0.weight", "head.cls_convs.1.weight", "head.cls_norms.2.1.weight"} <= keys
    assert not any(key.startswith("head.reg_convs") for key in keys)


@pytest.mark.parametrize("size_hw", [(640, 600), (32, 640), (0, 64)])
def test_sizes_that_it_cannot_take(size_hw: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="rtmdet_ins_s takes multiples of 32, 64 and more"):
        build_network("rtmdet_ins_s", input_hw=size_hw)
