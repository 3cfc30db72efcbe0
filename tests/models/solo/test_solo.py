"""SOLO, decoupled SOLO and ResNeXt with deformable groups: shapes, arithmetic, published layouts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d, group_norm, interpolate
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import DeformConv2d

from streamseg.models.deform import DeformConv
from streamseg.models.network import build_network
from streamseg.models.solo.config import SOLO_CONFIGS, SoloConfig
from streamseg.models.solo.solo import CellHeads, DecoupledHeads, Solo
from streamseg.models.weights.layouts import our_state

GRIDS = (40, 36, 24, 16, 12)
FEW = (7, 6, 4, 3, 2)
THIRD = slice(7 * 7 + 6 * 6, 7 * 7 + 6 * 6 + 4 * 4)
STRIDES = (8, 8, 16, 32, 32)
Shapes = dict[str, tuple[int, ...]]


def narrow(name: str) -> SoloConfig:
    """A configuration in all its structure, narrow, for small pictures."""
    return replace(
        SOLO_CONFIGS[name],
        classes=("a", "b", "c"),
        input_hw=(96, 160),
        block="basic",
        deform_interval=0,
        stage_blocks=(1, 1, 1, 1),
        stage_widths=(32, 32, 32, 32),
        stem_width=32,
        fpn_width=32,
        grids=FEW,
        tower_width=32,
    )


def test_solo_draws_on_every_level() -> None:
    heads = Solo(narrow("solo_r50")).eval()(torch.zeros(2, 3, 96, 160))
    assert isinstance(heads, CellHeads)
    assert (heads.category.shape, heads.kernel.shape, heads.bias.shape) == ((2, 114, 3), (114, 32), (114,))
    assert [tuple(x.shape) for x in heads.features] == [
        (2, 32, 2 * 96 // stride, 2 * 160 // stride) for stride in STRIDES
    ]


@pytest.mark.parametrize(
    "name", ["decoupled_solo_r50", "decoupled_solo_light_r50", "decoupled_solo_light_dcn_r50"]
)
def test_decoupled_solo_draws_columns_and_rows(name: str) -> None:
    heads = Solo(narrow(name)).eval()(torch.zeros(1, 3, 96, 160))
    assert isinstance(heads, DecoupledHeads)
    for maps in (heads.columns, heads.rows):
        assert [tuple(x.shape) for x in maps] == [
            (1, grid, 192 // stride, 320 // stride) for grid, stride in zip(FEW, STRIDES, strict=True)
        ]


def by_hand(x: Any, state: dict[str, Any], convs: str) -> Any:
    """A tower, step by step."""
    for i in range(7):
        x = conv2d(x, state[f"{convs}.{i}.conv.weight"], padding=1)
        x = group_norm(x, 32, state[f"{convs}.{i}.gn.weight"], state[f"{convs}.{i}.gn.bias"]).clamp(min=0)
    return x


def random_weights(model: Solo) -> dict[str, Any]:
    """Of the head, which is given random biases and normalisation too; as published begin at 1 and 0."""
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.head.parameters():
            if parameter.ndim == 1:
                parameter.copy_(torch.randn(parameter.shape, generator=rng))
    return dict(model.head.state_dict())


@pytest.mark.parametrize("name", ["solo_r50", "decoupled_solo_r50"])
def test_head_by_hand(name: str) -> None:
    """The third level, at stride 16, from its map: columns run left to right, rows top to bottom."""
    model = Solo(narrow(name)).eval()
    state = random_weights(model)
    rng = torch.Generator().manual_seed(5)
    levels = [torch.randn(1, 32, 96 // s, 160 // s, generator=rng) for s in (4, 8, 16, 32, 64)]
    x = levels[2]
    across = torch.linspace(-1, 1, 10).expand(1, 1, 6, 10)
    down = torch.linspace(-1, 1, 6)[:, None].expand(1, 1, 6, 10)
    with torch.inference_mode():
        heads = model.head(levels)
        if name == "solo_r50":
            drawn = by_hand(torch.cat([x, across, down], 1), state, "mask_convs")
            expected = interpolate(drawn, scale_factor=2, mode="bilinear")
            torch.testing.assert_close(heads.features[2], expected)
            torch.testing.assert_close(heads.kernel[THIRD], state["conv_mask_list.2.weight"].flatten(1))
            torch.testing.assert_close(heads.bias[THIRD], state["conv_mask_list.2.bias"])
        else:
            for maps, place, axis in ((heads.columns, across, "x"), (heads.rows, down, "y")):
                drawn = by_hand(torch.cat([x, place], 1), state, f"mask_convs_{axis}")
                drawn = interpolate(drawn, scale_factor=2, mode="bilinear")
                last = [state[f"conv_mask_list_{axis}.2.{part}"] for part in ("weight", "bias")]
                torch.testing.assert_close(maps[2], conv2d(drawn, *last, padding=1))
        cells = by_hand(interpolate(x, (4, 4), mode="bilinear"), state, "cls_convs")
        logits = conv2d(cells, state["conv_cls.weight"], state["conv_cls.bias"], padding=1)
        torch.testing.assert_close(heads.category[0, THIRD], logits[0].flatten(1).T)


def mmdetection_keys(depth: str, head: Shapes) -> Shapes:
    """A checkpoint of ResNet-50 or -101, FPN and `head`, as mmdetection writes it."""
    with torch.device("meta"):
        blocks = [3, 4, 23 if depth == "r101" else 6, 3]
        backbone = resnet50() if depth == "r50" else ResNet(Bottleneck, blocks)
    keys = {
        f"backbone.{key}": tuple(value.shape)
        for key, value in backbone.state_dict().items()
        if not key.startswith("fc.")
    }
    for i, width in enumerate((256, 512, 1024, 2048)):
        keys[f"neck.lateral_convs.{i}.conv.weight"] = (256, width, 1, 1)
        keys[f"neck.fpn_convs.{i}.conv.weight"] = (256, 256, 3, 3)
        keys[f"neck.lateral_convs.{i}.conv.bias"] = keys[f"neck.fpn_convs.{i}.conv.bias"] = (256,)
    return keys | head


def tower_keys(prefix: str, depth: int, first: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for i in range(depth):
        yield f"{prefix}.{i}.conv.weight", (256, 256 if i else first, 3, 3)
        yield f"{prefix}.{i}.gn.weight", (256,)
        yield f"{prefix}.{i}.gn.bias", (256,)


def head_keys(towers: dict[str, int], depth: int, lists: dict[str, tuple[int, ...]]) -> Shapes:
    """Of mmdetection: towers by name with the channels that enter, last convolutions by name."""
    keys = {}
    for name, first in {**towers, "cls_convs": 256}.items():
        keys.update(tower_keys(f"mask_head.{name}", depth, first))
    for name, size in lists.items():
        for i, grid in enumerate(GRIDS):
            width = grid**2 if name == "conv_mask_list" else grid
            keys[f"mask_head.{name}.{i}.weight"] = (width, 256, *size)
            keys[f"mask_head.{name}.{i}.bias"] = (width,)
    return {**keys, "mask_head.conv_cls.weight": (80, 256, 3, 3), "mask_head.conv_cls.bias": (80,)}


BOTH = {"conv_mask_list_x": (3, 3), "conv_mask_list_y": (3, 3)}
SOLO_HEAD = head_keys({"mask_convs": 258}, 7, {"conv_mask_list": (1, 1)})
DECOUPLED_HEAD = head_keys({"mask_convs_x": 257, "mask_convs_y": 257}, 7, BOTH)
LIGHT_HEAD = head_keys({"mask_convs": 258}, 4, BOTH)
PUBLISHED = {
    "solo_r50": ("r50", SOLO_HEAD),
    "solo_r101": ("r101", SOLO_HEAD),
    "decoupled_solo_r50": ("r50", DECOUPLED_HEAD),
    "decoupled_solo_r101": ("r101", DECOUPLED_HEAD),
    "decoupled_solo_light_r50": ("r50", LIGHT_HEAD),
}


def original_name(key: str) -> str:
    """The SOLO authors' name for one of mmdetection's keys."""
    decoupled = "conv_mask_list_" in key
    key = key.replace("mask_head.mask_convs", "bbox_head.ins_convs")
    key = key.replace("mask_head.cls_convs", "bbox_head.cate_convs")
    return key.replace("mask_head.conv_mask_list", f"bbox_head.{'d' * decoupled}solo_ins_list")


def zeros(shapes: Shapes) -> dict[str, Any]:
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def shapes_of(state: dict[str, Any]) -> Shapes:
    return {key: tuple(v.shape) for key, v in state.items() if not key.endswith("num_batches_tracked")}


def wanted(name: str) -> Shapes:
    with torch.device("meta"):
        return shapes_of(build_network(name).state_dict())


@pytest.mark.parametrize("name", PUBLISHED)
def test_mmdetections_and_the_authors_layout(name: str) -> None:
    theirs = mmdetection_keys(*PUBLISHED[name])
    assert shapes_of(our_state(zeros(theirs))) == wanted(name)
    cate = "bbox_head.dsolo_cate" if name.startswith("decoupled") else "bbox_head.solo_cate"
    originals = {
        original_name(key).replace("mask_head.conv_cls", cate): shape for key, shape in theirs.items()
    }
    assert not any(key.startswith("mask_head.") for key in originals)
    assert shapes_of(our_state(zeros(originals))) == wanted(name)


def test_the_authors_first_version_deformable_layout() -> None:
    """DCN without weights of taps: 18 offsets where ours has 27 channels, and no bias."""
    ours = wanted("decoupled_solo_light_dcn_r50")
    deformable = {key.removesuffix("conv_offset_mask.bias") for key in ours if "offset_mask.bias" in key}
    assert len([key for key in deformable if key.startswith("backbone.")]) == 4 + 6 + 3
    assert {key for key in deformable if key.startswith("head.")} == {
        "head.mask_convs.3.conv.",
        "head.cls_convs.3.conv.",
    }
    theirs = mmdetection_keys("r50", LIGHT_HEAD)
    for layer in deformable:
        stage = layer.replace("head.", "mask_head.")
        for i in range(4):
            stage = stage.replace(f"backbone.layers.{i}.", f"backbone.layer{i + 1}.")
        width = theirs[f"{stage}weight"][1]
        theirs[f"{stage}conv_offset.weight"] = (18, width, 3, 3)
        theirs[f"{stage}conv_offset.bias"] = (18,)
    theirs = {
        original_name(key).replace("mask_head.conv_cls", "bbox_head.dsolo_cate"): shape
        for key, shape in theirs.items()
    }
    assert shapes_of(our_state(zeros(theirs))) == ours


def test_resnext_has_its_published_shapes() -> None:
    """ResNeXt-101 64 × 4d as torchvision builds it, its 3×3 of the last three stages deformable."""
    with torch.device("meta"):
        backbone = ResNet(Bottleneck, [3, 4, 23, 3], groups=64, width_per_group=4)
    plain = {
        re.sub(r"^layer(\d)", lambda stage: f"layers.{int(stage[1]) - 1}", key): shape
        for key, shape in shapes_of(backbone.state_dict()).items()
        if not key.startswith("fc.")
    }
    ours = {
        key.removeprefix("backbone."): shape
        for key, shape in wanted("solov2_x101_dcn").items()
        if key.startswith("backbone.")
    }
    added = {key for key in ours if key not in plain}
    assert {key: shape for key, shape in ours.items() if key not in added} == plain
    assert len(added) == 3 * (4 + 23 + 3)
    assert all("conv2.conv_offset_mask." in key or key.endswith("conv2.bias") for key in added)


def test_deformable_convolution_in_groups() -> None:
    torch.manual_seed(0)
    ours, theirs = DeformConv(8, 8, 2, groups=4), DeformConv2d(8, 8, 3, stride=2, padding=1, groups=4)
    theirs.load_state_dict({"weight": ours.weight, "bias": ours.bias})
    torch.nn.init.normal_(ours.conv_offset_mask.weight)
    x = torch.randn(1, 8, 9, 9)
    with torch.inference_mode():
        offset, weight = ours.conv_offset_mask(x).split((18, 9), dim=1)
        torch.testing.assert_close(ours(x), theirs(x, offset, weight.sigmoid()))
