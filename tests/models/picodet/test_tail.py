"""The tail on heads made by hand: one box where it should be, suppression, options; and the exported file."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine  # noqa: E402
from streamseg.errors import ExportError  # noqa: E402
from streamseg.export.onnx_export import export  # noqa: E402
from streamseg.models.corners import Corners  # noqa: E402
from streamseg.models.network import build_network  # noqa: E402
from streamseg.models.picodet.network import PicoDet, PicoHeads  # noqa: E402
from streamseg.models.picodet.tail import PicoTail, suppressed_pairs  # noqa: E402

CLASSES = ("a", "b", "c")


def network() -> PicoDet:
    torch.manual_seed(0)
    made = build_network("picodet_s", CLASSES, (64, 96))
    assert isinstance(made, PicoDet)
    for parameter in made.coefficients.parameters():
        torch.nn.init.zeros_(parameter)
    return made.eval()


def heads(**found: tuple[int, int, float]) -> PicoHeads:
    """Nothing, but at locations of stride 8, by number: class, distance of all sides in strides, logit."""
    logits = torch.full((1, 128, 3), -20.0)
    distribution = torch.zeros(1, 128, 4, 8)
    for name, (class_id, distance, logit) in found.items():
        logits[0, int(name[1:]), class_id] = logit
        distribution[0, int(name[1:]), :, distance] = 100.0
    return PicoHeads(
        logits,
        torch.full((1, 128, 1), 100.0),
        distribution.flatten(2),
        torch.zeros(1, 128, 192),
        torch.zeros(1, 32, 16, 24),
        torch.zeros(1, 32, 8, 12),
    )


def test_one_box_and_its_mask_by_hand() -> None:
    """Location 25 of rows of twelve: column 1, row 2, centre (12, 20); one stride to each side. Coefficients
    are zero but for a grid of 2: sigmoid(2) of 256 steps is 225, in cells 1…4 and 3…6 and one more around."""
    model = network()
    model.coefficients.layers[-1].bias.data[32:] = 2.0
    out = PicoTail(model, max_detections=2)(*heads(k25=(1, 1, 0.0)))
    assert out.scores[0, 0].item() == pytest.approx(0.5)
    assert (out.boxes[0, 0] * torch.tensor([96, 64, 96, 64])).tolist() == pytest.approx([4, 12, 20, 28])
    assert out.classes[0, 0] == 1
    wanted = torch.zeros(16, 24, dtype=torch.uint8)
    wanted[2:8, 0:6] = 225
    assert torch.equal(out.masks[0, 0], wanted)


def test_a_box_suppresses_those_of_its_class_alone() -> None:
    found = heads(k25=(1, 3, 3.0), k26=(1, 3, 2.0), k27=(2, 3, 1.0))
    of_class = PicoTail(network(), max_detections=5, score_threshold=0.1)(*found)
    assert of_class.classes[0, : of_class.number[0]].tolist() == [1, 2]
    across = PicoTail(network(), max_detections=5, score_threshold=0.1, cross_class=True)(*found)
    assert across.classes[0, : across.number[0]].tolist() == [1]
    chosen = PicoTail(network(), max_detections=5, score_threshold=0.1, columns=[2, 0])(*found)
    assert chosen.classes[0, : chosen.number[0]].tolist() == [0]


def test_suppression_begins_above_one_half() -> None:
    """Beside a box of width 4: half of it in common with one as large is 1/3, three quarters 3/5."""
    boxes = torch.tensor([[[0.0, 0, 4, 1], [2, 0, 6, 1], [1, 0, 5, 1], [9, 0, 9, 1]]])
    dropped = suppressed_pairs(Corners(*boxes.unbind(-1)), None)
    assert dropped.tolist() == [[False, False, True, False]]


def test_options_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ExportError, match="max_detections 601: must be 1…384"):
        PicoTail(network(), max_detections=601)
    with pytest.raises(ExportError, match="score_threshold 1: must be 0…1"):
        PicoTail(network(), score_threshold=1)


@pytest.mark.slow
def test_the_file_does_what_the_network_does(tmp_path: Path) -> None:
    """`export` compares it; here its metadata, and a batch of three."""
    torch.manual_seed(0)
    model = build_network("picodet_s", CLASSES, (64, 96)).eval()
    for parameter in model.parameters():
        if parameter.ndim == 4:
            # As layers are drawn, all scores are alike, and rounding decides which are listed.
            torch.nn.init.kaiming_normal_(parameter)
    path = export(model, tmp_path / "p.onnx", max_detections=100)
    frames = torch.randint(0, 255, (3, 64, 96, 3), dtype=torch.uint8)
    with OnnxRuntimeEngine(path) as engine:
        assert (engine.info.family, engine.info.classes, engine.info.resize) == (
            "picodet",
            CLASSES,
            "stretch",
        )
        found = engine.infer(frames.numpy())
    assert found.masks.shape == (3, 100, 16, 24)
    assert (found.count > 0).all()
