"""EfficientNet-Lite0: TensorFlow's padding, and weights that know a tiger."""

import json
from pathlib import Path

import cv2
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torch.nn.functional import batch_norm, conv2d  # noqa: E402

from streamseg.models.backbones.efficientnet import EfficientNetLite, SameConv  # noqa: E402
from streamseg.training import pretrained  # noqa: E402

ANIMALS = Path(__file__).parents[3] / "../shared/data/animals7"
TIGER = 292


@pytest.mark.parametrize(
    ("side", "size", "stride", "covered"),
    [
        (8, 3, 2, [0, 2, 4, 6]),  # one cell of padding, after
        (7, 3, 2, [-1, 1, 3, 5]),  # one before, one after
        (8, 5, 2, [-1, 1, 3, 5]),  # one before, two after
        (8, 3, 1, [-1, 0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_where_the_first_tap_lies(side: int, size: int, stride: int, covered: list[int]) -> None:
    conv = SameConv(1, 1, size, stride)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 0, 0] = 1
        ramp = torch.arange(1.0, side + 1)
        seen = conv((10 * ramp[:, None] + ramp)[None, None])[0, 0]
    expected = [0.0 if k < 0 else k + 1.0 for k in covered]
    assert seen.shape == (len(covered), len(covered))
    assert [float(seen[i, i]) for i in range(len(covered))] == [11 * value for value in expected]


def test_maps_at_sizes_that_are_no_multiple_of_the_strides() -> None:
    maps = EfficientNetLite().eval()(torch.zeros(1, 3, 100, 135))
    assert [tuple(m.shape[1:]) for m in maps] == [(40, 13, 17), (112, 7, 9), (320, 4, 5)]


def test_the_pretrained_backbone_knows_a_tiger() -> None:
    pytest.importorskip(pretrained.PACKAGE, reason="needs the extra `train`")
    if not ANIMALS.is_dir():
        pytest.skip("needs shared/data/animals7 beside the checkout")
    backbone = EfficientNetLite().eval()
    pretrained.load_pretrained(backbone)
    file = Path(__import__(pretrained.PACKAGE).__file__).parent / pretrained.FILE
    state = torch.load(file, weights_only=True)
    images = []
    for image, (x, y, w, h) in tiger_boxes(5):
        crop = cv2.resize(cv2.imread(str(image))[y : y + h, x : x + w], (224, 224))
        images.append((torch.from_numpy(crop).flip(2).float() - 127) / 128)
    with torch.no_grad():
        x = conv2d(backbone(torch.stack(images).permute(0, 3, 1, 2))[2], state["_conv_head.weight"])
        norm = [state[f"_bn1.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        pooled = batch_norm(x, *norm, eps=1e-3).clamp(0, 6).mean((2, 3))
        found = (pooled @ state["_fc.weight"].T + state["_fc.bias"]).argmax(1).tolist()
    assert found.count(TIGER) >= 4


def tiger_boxes(count: int) -> list[tuple[Path, list[int]]]:
    content = json.loads((ANIMALS / "instances.json").read_text())
    files = {image["id"]: ANIMALS / "images" / image["file_name"] for image in content["images"]}
    tiger = next(c["id"] for c in content["categories"] if c["name"] == "tiger")
    found = [a for a in content["annotations"] if a["category_id"] == tiger][:count]
    return [(files[a["image_id"]], [int(value) for value in a["bbox"]]) for a in found]


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(pretrained.PACKAGE, reason="needs the extra `train`")
    monkeypatch.setattr(pretrained, "SHA256", "00000000")
    with pytest.raises(Exception, match=r"damaged \(SHA-256 57934424.*install .* again"):
        pretrained.load_pretrained(EfficientNetLite())


@pytest.mark.parametrize(("size", "stride", "side"), [(5, 2, 23), (3, 1, 20)])
def test_depthwise_kernels_learn_in_bfloat16_as_in_float32(size: int, stride: int, side: int) -> None:
    torch.manual_seed(0)
    conv, x = SameConv(8, 8, size, stride, groups=8), torch.randn(2, 8, side, side)
    conv(x).square().sum().backward()
    expected = conv.weight.grad
    assert expected is not None
    conv.weight.grad = None
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x.bfloat16())
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    torch.testing.assert_close(conv.weight.grad, expected, rtol=0.02, atol=0.01 * float(expected.abs().max()))
