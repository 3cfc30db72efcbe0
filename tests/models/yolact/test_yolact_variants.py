"""What the variants add to YOLACT: deformable layers, octaves of anchors, the judge of masks."""

from dataclasses import replace

import pytest
import torch

from streamseg.errors import ConfigError
from streamseg.models.deform import DeformConv
from streamseg.models.yolact.catalog import CONFIGS, build_model, resized
from streamseg.models.yolact.config import YolactConfig
from streamseg.models.yolact.maskiou import MaskIouNet
from streamseg.models.yolact.priors import level_lengths, make_priors
from streamseg.models.yolact.yolact import Yolact


def narrow(name: str) -> YolactConfig:
    """A configuration in all its structure, a sixteenth as wide, for small pictures."""
    config = CONFIGS[name]
    return replace(
        config,
        classes=("a", "b"),
        input_hw=(256, 320),
        stem_width=config.stem_width // 16,
        stage_widths=tuple(width // 16 for width in config.stage_widths),
        fpn_width=16,
        proto_widths=(16, 16, 16),
        proto_up_width=16,
        head_width=16,
    )


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "yolact_lite"])
def test_every_variant_runs_and_has_a_row_per_prior(name: str) -> None:
    config = narrow(name)
    model = Yolact(config).eval()

    with torch.inference_mode():
        heads = model(torch.zeros(1, 3, *config.input_hw))

    assert heads.loc.shape == (1, len(model.priors), 4)
    assert heads.proto.shape[1:3] == (64, 80)
    assert sum(level_lengths(config)) == len(model.priors)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("yolact_plus_r50", [(1, range(4)), (2, range(6)), (3, range(3))]),
        ("yolact_plus_r101", [(1, (0, 3)), (2, range(0, 23, 3)), (3, (0,))]),
    ],
)
def test_deformable_layers_are_where_the_original_has_them(name: str, blocks: list) -> None:
    with torch.device("meta"):
        backbone = build_model(name).backbone

    found = {key.removesuffix(".conv2") for key, m in backbone.named_modules() if isinstance(m, DeformConv)}

    assert found == {f"layers.{stage}.{block}" for stage, numbers in blocks for block in numbers}


def test_an_untrained_deformable_layer_is_the_plain_convolution_at_half_strength() -> None:
    layer = DeformConv(6, 8, stride=2)
    x = torch.randn(2, 6, 9, 11)

    plain = torch.nn.functional.conv2d(x, layer.weight, None, stride=2, padding=1)

    torch.testing.assert_close(layer(x), plain / 2 + layer.bias.view(1, -1, 1, 1))


def test_offsets_are_dy_dx_per_tap() -> None:
    """The middle tap alone, moved by two rows down and one column to the left."""
    layer = DeformConv(1, 1, stride=1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 1, 1] = 1
        layer.bias.zero_()
        layer.conv_offset_mask.bias[2 * 4] = 2
        layer.conv_offset_mask.bias[2 * 4 + 1] = -1
        layer.conv_offset_mask.bias[18:] = 50
    x = torch.arange(30.0).view(1, 1, 5, 6)

    y = layer(x)

    torch.testing.assert_close(y[0, 0, :3, 1:], x[0, 0, 2:, :-1])
    assert y[0, 0, 3:].abs().max() == 0, "beyond the border there is nothing"


def test_octaves_come_before_aspects() -> None:
    priors = make_priors(CONFIGS["yolact_plus_r50"])

    assert len(priors) == 57744
    widths = priors[:9, 2] * 550
    expected = [24 * 2 ** (octave / 3) * aspect**0.5 for octave in range(3) for aspect in (1, 0.5, 2)]
    assert widths.tolist() == pytest.approx(expected, rel=1e-6)
    assert (priors[:9, 2] * priors[:9, 3]).tolist() == pytest.approx(
        [(24 * 2 ** (n // 3 / 3) / 550) ** 2 for n in range(9)], rel=1e-5
    )


def test_mmdetections_anchors_are_wide_first() -> None:
    priors = make_priors(CONFIGS["mmdet_yolact_r50"])

    assert (priors[:3, 3] / priors[:3, 2]).tolist() == pytest.approx([0.5, 1, 2])


def test_darknet_takes_pictures_in_zero_to_one() -> None:
    config = CONFIGS["yolact_darknet53"]
    assert (config.mean_rgb, config.std_rgb) == ((0, 0, 0), (255, 255, 255))


def test_the_judge_has_an_opinion_of_each_mask_alone() -> None:
    judge = MaskIouNet(5).eval()
    masks = torch.rand(3, 138, 138)

    with torch.inference_mode():
        factors = judge(masks)

        assert factors.shape == (3, 5)
        assert factors.min() >= 0
        torch.testing.assert_close(factors[1:2], judge(masks[1:2]))


def test_an_input_too_small_for_the_judge() -> None:
    with pytest.raises(ConfigError, match="240x320: too small for yolact_plus_r50, at least 249"):
        resized(CONFIGS["yolact_plus_r50"], (240, 320))
    assert resized(CONFIGS["yolact_plus_r50"], (249, 320)).input_hw == (249, 320)
