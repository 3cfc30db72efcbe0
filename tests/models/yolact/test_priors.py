"""Anchors against values worked out by hand and against upstream's tables."""

import pytest
import torch

from streamseg.models.yolact.catalog import CONFIGS, build_model, resized
from streamseg.models.yolact.priors import level_sizes, make_priors


@pytest.mark.parametrize(
    ("side", "levels"),
    [(550, [69, 35, 18, 9, 5]), (400, [50, 25, 13, 7, 4]), (700, [88, 44, 22, 11, 6])],
)
def test_level_sizes_are_those_of_the_published_networks(side: int, levels: list[int]) -> None:
    assert level_sizes((side, side), 2) == [(n, n) for n in levels]


def test_v1_anchors_are_three_squares() -> None:
    priors = make_priors(CONFIGS["yolact_r50"])

    assert priors.shape == (19248, 4)
    assert priors.dtype == torch.float32
    expected = torch.tensor([[0.5 / 69, 0.5 / 69, side, side] for side in (24 / 550, 24 * 0.5**0.5 / 550)])
    torch.testing.assert_close(priors[:2], expected)
    assert priors[2, 2:].tolist() == pytest.approx([24 * 2**0.5 / 550] * 2)


def test_anchors_run_along_rows_first() -> None:
    priors = make_priors(CONFIGS["yolact_r50"])

    assert priors[3, :2].tolist() == pytest.approx([1.5 / 69, 0.5 / 69])
    assert priors[3 * 69, :2].tolist() == pytest.approx([0.5 / 69, 1.5 / 69])


def test_anchors_are_rectangles_of_pixels_on_a_wide_input() -> None:
    config = CONFIGS["yolact_lite"]

    priors = make_priors(config)

    pixels = priors[:3, 2:] * torch.tensor([448.0, 320.0])
    side = 24.0
    expected = torch.tensor(
        [[side, side], [side * 0.5**0.5, side * 2**0.5], [side * 2**0.5, side * 0.5**0.5]]
    )
    torch.testing.assert_close(pixels, expected)
    assert len(priors) == 3 * (40 * 56 + 20 * 28 + 10 * 14 + 5 * 7)


@pytest.mark.parametrize(
    ("side", "scales"),
    [(400, (17, 34, 69, 139, 279)), (700, (30, 61, 122, 244, 488)), (550, (24, 48, 96, 192, 384))],
)
def test_other_sizes_take_upstreams_truncated_scales(side: int, scales: tuple[int, ...]) -> None:
    assert resized(CONFIGS["yolact_r50"], (side, side)).anchor_scales == scales


def test_priors_are_in_order_of_the_heads() -> None:
    model = build_model("yolact_lite", ("a",), (96, 160)).eval()

    with torch.inference_mode():
        heads = model(torch.zeros(1, 3, 96, 160))

    assert heads.loc.shape == (1, len(model.priors), 4)
