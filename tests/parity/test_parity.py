"""Every configuration against the outputs of its published implementation, or file against network."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

IN_FULL = ["yolact_r50", "yolact_plus_r50", "mmdet_yolact_r50", "solov2_light_r50"]
KEYS_ONLY = [
    "yolact_r101",
    "yolact_darknet53",
    "yolact_im400",
    "yolact_im700",
    "yolact_plus_r101",
    "yolact_r50_pascal",
    "mmdet_yolact_r101",
    "solov2_r50",
    "solov2_r101",
    "solov2_light_r18",
    "solov2_light_r34",
    "solov2_r101_dcn",
    "solov2_x101_dcn",
    "solov2_light_r50_dcn",
    "solo_r50",
    "solo_r101",
    "decoupled_solo_r50",
    "decoupled_solo_r101",
    "decoupled_solo_light_r50",
    "decoupled_solo_light_dcn_r50",
    "adelaidet_solov2_r50",
    "adelaidet_solov2_r101",
]


def assert_equal_but_for_rounding(found: Any) -> None:
    """Every detection is there; none differs but in pixels that a mask's 8 bits cannot decide."""
    assert found.found == found.expected > 0
    assert found.equal + found.rounding == found.expected, found.differing
    # One pixel in a mask of fifty is an IoU of 0.98: 94 to 100 of 100 on the pictures here.
    assert found.share >= 0.93, found.differing
    assert found.score < 2e-4  # the same code on other threads: 6e-5
    assert found.pixels < 0.01


def assert_heads_equal(outcome: Any) -> None:
    assert len(outcome.heads) in (3, 4)
    assert max(outcome.heads.values()) < 1e-4, outcome.heads


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", IN_FULL)
def test_in_torch_on_one_picture(parity: ModuleType, reference: Path, tmp_path: Path, name: str) -> None:
    case = next(case for case in parity.CASES if case.model == name)
    original = parity.Original(case, reference)
    state = parity.reference_state(original.folder / "keys.json")
    size = original.padded_hw(parity.IMAGES[0]) if case.is_solo else None
    model, _ = parity.load(name, state, tmp_path, input_hw=size)

    outcome = parity.measure_torch(model, original, parity.IMAGES[:1])

    assert_heads_equal(outcome)
    assert_equal_but_for_rounding(outcome.torch)
    if not case.from_mmdetection:
        assert outcome.cross_class.equal == outcome.cross_class.found == outcome.cross_class.expected > 100


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_solov2_in_onnx_on_one_picture(parity: ModuleType, reference: Path, tmp_path: Path) -> None:
    """YOLACT's is in tests/export; the rest, and all pictures, are left to `make parity`."""
    case = next(case for case in parity.CASES if case.is_solo)
    original = parity.Original(case, reference)
    state = parity.reference_state(original.folder / "keys.json")
    model, _ = parity.load(case.model, state, tmp_path, input_hw=original.padded_hw(parity.IMAGES[0]))

    with parity.OnnxRuntimeEngine(parity.export(model, tmp_path / "engine.onnx")) as engine:
        found = parity.measure_onnx(engine, original, parity.IMAGES[:1])

    assert_equal_but_for_rounding(found)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", IN_FULL)
def test_in_torch_and_onnx_on_all_pictures(parity: ModuleType, reference: Path, name: str) -> None:
    case = next(case for case in parity.CASES if case.model == name)

    outcome = parity.measure(case, reference)

    assert_heads_equal(outcome)
    assert_equal_but_for_rounding(outcome.torch)
    assert_equal_but_for_rounding(outcome.onnx)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", KEYS_ONLY)
def test_loads_exports_and_runs(parity: ModuleType, reference: Path, name: str) -> None:
    outcome = parity.measure_keys_only(name, reference, parity.IMAGES[:1])

    assert outcome.together.instances > 0
    assert outcome.together.matched >= 0.98
    assert outcome.run == 4


@pytest.mark.slow
def test_a_file_with_adelaidets_names(parity: ModuleType, reference: Path, tmp_path: Path) -> None:
    state = parity.invented_state("adelaidet_solov2_r50", reference)
    first = state["backbone.bottom_up.stem.conv1.weight"]
    last = state["backbone.bottom_up.res5.2.conv3.norm.running_var"]
    tower, masks = (
        state["ins_head.kernel_tower.10.bias"],
        state["mask_head.convs_all_levels.3.conv2.0.weight"],
    )

    model, _ = parity.load("adelaidet_solov2_r50", state, tmp_path)

    assert model.backbone.conv1.weight.equal(first[:, [2, 1, 0]])  # its pictures are BGR
    assert model.backbone.layers[3][2].bn3.running_var.equal(last)
    assert model.head.kernel_convs[3].gn.bias.equal(tower)
    assert model.head.mask_feature_head.convs_all_levels[3].conv2.conv.weight.equal(masks)
    assert len(state) == sum(not key.endswith("num_batches_tracked") for key in model.state_dict())


def test_every_configuration_is_measured(parity: ModuleType) -> None:
    from streamseg.models.solo.config import SOLO_CONFIGS
    from streamseg.models.yolact.catalog import CONFIGS

    published = {*(name for name in CONFIGS if name != "yolact_lite"), *SOLO_CONFIGS}
    assert published == {*IN_FULL, *KEYS_ONLY}
    assert list(parity.CONFIGURATIONS) == [*IN_FULL, *KEYS_ONLY]
