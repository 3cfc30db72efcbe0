"""RTMDet-Ins' tail on heads made by hand, and its masks against convolutions written out."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torch import Tensor  # noqa: E402
from torch.nn.functional import conv2d  # noqa: E402

from streamseg.errors import ExportError  # noqa: E402
from streamseg.models.network import build_network  # noqa: E402
from streamseg.models.rtmdet.head import RtmDetHeads  # noqa: E402
from streamseg.models.rtmdet.network import RtmDet, rtmdet_points  # noqa: E402
from streamseg.models.rtmdet.tail import RtmDetTail, outline_unit  # noqa: E402

SIZE_HW = (64, 96)
CLASSES = ("a", "b", "c")
POINTS = rtmdet_points(SIZE_HW)


@pytest.fixture(scope="module")
def model() -> RtmDet:
    with torch.device("meta"):
        made = build_network("rtmdet_ins_tiny", CLASSES, SIZE_HW)
    assert isinstance(made, RtmDet)
    return made


def heads(*found: tuple[int, int, float, tuple[float, float, float, float]]) -> RtmDetHeads:
    """Of locations, each with a class, a logit and the distances of its sides; the rest is random."""
    rng = torch.Generator().manual_seed(1)
    count = len(POINTS)
    logits, distances = torch.full((1, count, 3), -9.0), torch.zeros(1, count, 4)
    for location, kind, logit, sides in found:
        logits[0, location, kind] = logit
        distances[0, location] = torch.tensor(sides)
    kernels = torch.randn(1, count, 169, generator=rng)
    return RtmDetHeads(logits, distances, kernels, torch.randn(1, 8, 8, 12, generator=rng))


def drawn(of: RtmDetHeads, location: int) -> Tensor:
    """(8, 12) logits: three 1×1 convolutions over places and features, as the paper has them."""
    x0, y0, stride = POINTS[location]
    y, x = torch.meshgrid(torch.arange(8) * 8.0, torch.arange(12) * 8.0, indexing="ij")
    place = torch.stack((x0 - x, y0 - y)) / (stride * 8)
    z = torch.cat((place, of.features[0]))[None]
    kernel = of.kernels[0, location]
    weights, biases = kernel[:152], kernel[152:]
    z = conv2d(z, weights[:80].view(8, 10, 1, 1), biases[:8]).relu()
    z = conv2d(z, weights[80:144].view(8, 8, 1, 1), biases[8:16]).relu()
    return conv2d(z, weights[144:].view(1, 8, 1, 1), biases[16:])[0, 0]


def test_boxes_scores_classes(model: RtmDet) -> None:
    """Location 13 is at (8, 8), 103 at (16, 16) of stride 16; a box ends at the input's border."""
    found = RtmDetTail(model, max_detections=5)(
        *heads((13, 2, 3.0, (4, 4, 20, 12)), (103, 0, 2.0, (30, 8, 100, 10)))
    )
    assert found.number.tolist() == [2]
    assert found.classes[0].tolist() == [2, 0, 0, 0, 0]
    assert found.scores[0].tolist() == pytest.approx([0.9526, 0.8808, 0, 0, 0], abs=1e-4)
    edges = torch.tensor([96, 64, 96, 64])
    assert (found.boxes[0, 0] * edges).tolist() == pytest.approx([4, 4, 28, 20])
    assert (found.boxes[0, 1] * edges).tolist() == pytest.approx([0, 8, 96, 26])
    assert not found.boxes[0, 2:].any()
    assert not found.masks[0, 2:].any()


@pytest.mark.parametrize("cross_class", [False, True])
def test_of_two_on_one_place_the_surer_stays(model: RtmDet, cross_class: bool) -> None:
    same = (10.0, 10.0, 10.0, 10.0)
    found = RtmDetTail(model, max_detections=5, cross_class=cross_class)(
        *heads((13, 2, 3.0, same), (14, 2, 2.0, (18, 10, 2, 10)), (25, 1, 1.0, (10, 18, 10, 2)))
    )
    assert found.classes[0, : int(found.number)].tolist() == ([2] if cross_class else [2, 1])


def test_what_has_no_extent_or_hardly_a_score_is_nothing(model: RtmDet) -> None:
    found = RtmDetTail(model, max_detections=5)(
        *heads((13, 2, 3.0, (0, 4, 0, 4)), (20, 1, -3.0, (4, 4, 4, 4)), (30, 1, -2.9, (4, 4, 4, 4)))
    )
    assert found.scores[0].tolist() == pytest.approx([0.0522, 0, 0, 0, 0], abs=1e-4)


@pytest.mark.parametrize("location", [13, 103, 125])
def test_masks_are_those_of_the_convolutions_written_out(model: RtmDet, location: int) -> None:
    given = heads((location, 1, 4.0, (9, 9, 9, 9)))
    given.kernels[0, location, -1] -= drawn(given, location).median()  # half of it is outside
    logits = drawn(given, location)
    unit = float(outline_unit(logits[None, None]))
    want = (logits / unit * 127 + 128).clamp(0.4, 255)

    found = RtmDetTail(model, max_detections=1)(*given).masks[0, 0]

    assert (logits > 0).any()
    assert (logits < 0).any()
    assert (found.float() - want).abs().max() <= 0.51
    clear = logits.abs() > 0.01 * unit
    assert ((found >= 128) == (logits > 0))[clear].all()


def test_the_unit_is_the_largest_logit_beside_an_outline() -> None:
    logits = torch.full((1, 1, 4, 6), -2.0)
    logits[..., 1, 1], logits[..., 3, 5] = 5.0, -900.0
    assert outline_unit(logits).item() == 5
    logits[..., 2, 2] = -7.0
    assert outline_unit(logits).item() == 7
    assert 0 < outline_unit(-logits.abs()).item() < 1e-3


def test_some_classes_only(model: RtmDet) -> None:
    given = heads((13, 2, 3.0, (4, 4, 20, 12)), (103, 0, 2.0, (30, 8, 100, 10)))
    found = RtmDetTail(model, max_detections=5, columns=[2])(*given)
    assert (found.number.tolist(), found.classes[0, 0].item()) == ([1], 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_detections": 0}, "max_detections 0: must be 1…378"),
        ({"max_detections": 379}, "max_detections 379: must be 1…378"),
        ({"score_threshold": 1.0}, "score_threshold 1.0: must be 0…1"),
    ],
)
def test_options_that_cannot_be_met(model: RtmDet, options: dict[str, float], said: str) -> None:
    with pytest.raises(ExportError, match=said):
        RtmDetTail(model, **options)  # type: ignore[arg-type]
