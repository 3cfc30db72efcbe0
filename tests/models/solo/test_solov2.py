"""SOLOv2's parts against hand values, and the published layouts of its weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from streamseg.errors import CheckpointError, ConfigError
from streamseg.models.network import NETWORK_NAMES, build_network
from streamseg.models.solo.config import SOLO_CONFIGS
from streamseg.models.solo.parts import coordinates
from streamseg.models.solo.solo import Solo
from streamseg.models.weights.checkpoint import load_weights
from streamseg.models.weights.layouts import our_state

TINY = replace(
    SOLO_CONFIGS["solov2_light_r18"],
    name="tiny",
    classes=("a", "b", "c"),
    input_hw=(96, 160),
    stage_blocks=(1, 1, 1, 1),
    stage_widths=(32, 32, 32, 32),
    stem_width=32,
    fpn_width=32,
    tower_width=32,
    kernel_width=32,
    feature_width=32,
)
PUBLISHED = {
    "solov2_r50": "keys_only/mmdet_solov2_r50_1x.json",
    "solov2_r101": "keys_only/mmdet_solov2_r101_fpn_ms-3x_coco.json",
    "solov2_light_r18": "keys_only/mmdet_solov2_light_r18.json",
    "solov2_light_r34": "keys_only/mmdet_solov2-light_r34_fpn_ms-3x_coco.json",
    "solov2_light_r50": "mmdet_solov2_light_r50/keys.json",
}
WXINLONG = "solo_orig_solov2_light_r50/keys.json"


def shapes(state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {
        key: tuple(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")
    }


def wanted(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return shapes(build_network(name).state_dict())


def listed(path: Path) -> dict[str, Tensor]:
    tensors = json.loads(path.read_text())["tensors"]
    return {t["key"]: torch.zeros(()).expand(t["shape"]) for t in tensors}


def test_raw_heads_have_a_row_for_every_cell() -> None:
    heads = Solo(TINY).eval()(torch.zeros(2, 3, 96, 160))
    assert heads.category.shape == (2, 3872, 3)
    assert heads.kernel.shape == (2, 3872, 32)
    assert heads.features.shape == (2, 32, 24, 40)


def test_coordinates_run_from_edge_to_edge() -> None:
    across, down = coordinates(torch.zeros(1, 7, 3, 5))[0]
    assert across.tolist() == [[-1, -0.5, 0, 0.5, 1]] * 3
    assert down[:, 2].tolist() == [-1, 0, 1]


def test_other_classes_and_sizes() -> None:
    with torch.device("meta"):
        network = build_network("solov2_light_r50", ("cup",), (448, 608))
    assert isinstance(network, Solo)
    assert (network.config.classes, network.config.input_hw) == (("cup",), (448, 608))
    assert network.head.conv_cls.weight.shape[0] == 1


@pytest.mark.parametrize("size", [(450, 768), (32, 64), (448, 760)])
def test_sizes_are_multiples_of_32(size: tuple[int, int]) -> None:
    height, width = max(64, -(-size[0] // 32) * 32), max(64, -(-size[1] // 32) * 32)
    with pytest.raises(ConfigError, match=f"takes multiples of 32, such as {height}x{width}"):
        build_network("solov2_light_r50", input_hw=size)


@pytest.mark.parametrize("name", SOLO_CONFIGS)
def test_every_size_of_the_catalogue_is_one(name: str) -> None:
    assert SOLO_CONFIGS[name].name == name
    assert all(side % 32 == 0 for side in SOLO_CONFIGS[name].input_hw)
    assert name in NETWORK_NAMES


@pytest.mark.parametrize(("name", "listing"), PUBLISHED.items())
def test_mmdetections_keys_and_shapes_are_those_of_the_model(
    shared_dir: Path, name: str, listing: str
) -> None:
    assert shapes(our_state(listed(shared_dir / "reference" / listing))) == wanted(name)


def test_the_authors_keys_name_the_same_tensors(shared_dir: Path) -> None:
    """Each of their keys must become what mmdetection's key for the same tensor becomes."""
    tensors = json.loads((shared_dir / "reference" / WXINLONG).read_text())["tensors"]
    theirs = our_state({t["key"]: index for index, t in enumerate(tensors)})
    mmdet = our_state({t["mmdet3_key"]: index for index, t in enumerate(tensors)})
    assert theirs == mmdet


def test_strides_of_caffe_networks_lie_in_the_first_convolution() -> None:
    with torch.device("meta"):
        blocks = [
            build_network(name).backbone.layers[1][0] for name in ("solov2_r50", "adelaidet_solov2_r50")
        ]
    assert [(b.conv1.stride, b.conv2.stride) for b in blocks] == [((1, 1), (2, 2)), ((2, 2), (1, 1))]


@pytest.mark.parametrize("name", ["solov2_r101_dcn", "solov2_light_r50_dcn"])
def test_deformable_convolutions_of_mmdetection(name: str) -> None:
    """Theirs have no bias; the offsets' convolution has another name."""
    ours = wanted(name)
    biases = {key.replace("conv_offset_mask.bias", "bias") for key in ours if "conv_offset_mask.bias" in key}
    theirs = {
        key.replace("conv_offset_mask", "conv_offset").replace("head.", "mask_head.", 1): torch.zeros(
            ()
        ).expand(shape)
        for key, shape in ours.items()
        if key not in biases
    }
    assert any("mask_head.kernel_convs" in key and "conv_offset" in key for key in theirs)
    assert shapes(our_state(theirs)) == ours


def test_first_version_of_deformable_convolutions() -> None:
    """18 offsets and no weights per tap: the layer must give what torchvision's without a mask gives."""
    torch.manual_seed(0)
    config = replace(TINY, tower_deform=1, tower_depth=1)
    model = Solo(config).eval()
    weight, x = torch.randn(32, 34, 3, 3), torch.randn(1, 34, 9, 9)
    offsets = nn.Conv2d(34, 18, 3, padding=1)
    state = {
        "bbox_head.solo_cate.bias": torch.zeros(3),
        "bbox_head.kernel_convs.0.conv.weight": weight,
        "bbox_head.kernel_convs.0.conv.conv_offset.weight": offsets.weight,
        "bbox_head.kernel_convs.0.conv.conv_offset.bias": offsets.bias,
    }
    layer = model.head.kernel_convs[0].conv
    prefix = "head.kernel_convs.0.conv."
    layer.load_state_dict(
        {k.removeprefix(prefix): v for k, v in our_state(state).items() if k.startswith(prefix)}
    )
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), deform_conv2d(x, offsets(x), weight, padding=1))


@pytest.mark.slow
def test_another_models_weights_are_called_by_name(tmp_path: Path, shared_dir: Path) -> None:
    path = tmp_path / "light.pth"
    torch.save(listed(shared_dir / "reference" / PUBLISHED["solov2_light_r34"]), path)
    with torch.device("meta"):
        network = build_network("solov2_light_r18")
    with pytest.raises(
        CheckpointError, match="does not fit solov2_light_r18.*it looks like solov2_light_r34"
    ):
        load_weights(network, path)
