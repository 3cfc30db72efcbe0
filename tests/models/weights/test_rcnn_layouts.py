"""Mask R-CNN's files of mmdetection, detectron2 and old torchvision; files that do not fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torch import Tensor  # noqa: E402

from streamseg.errors import CheckpointError  # noqa: E402
from streamseg.models.network import build_network  # noqa: E402
from streamseg.models.weights.checkpoint import load_weights  # noqa: E402

State = dict[str, Tensor]
MMDETECTION = (
    (r"backbone\.body\.", "backbone."),
    (r"backbone\.fpn\.inner_blocks\.(\d)\.0\.", r"neck.lateral_convs.\1.conv."),
    (r"backbone\.fpn\.layer_blocks\.(\d)\.0\.", r"neck.fpn_convs.\1.conv."),
    (r"rpn\.head\.conv\.0\.0\.", "rpn_head.rpn_conv."),
    (r"rpn\.head\.cls_logits\.", "rpn_head.rpn_cls."),
    (r"rpn\.head\.bbox_pred\.", "rpn_head.rpn_reg."),
    (r"roi_heads\.box_head\.fc6\.", "roi_head.bbox_head.shared_fcs.0."),
    (r"roi_heads\.box_head\.fc7\.", "roi_head.bbox_head.shared_fcs.1."),
    (r"roi_heads\.box_predictor\.cls_score\.", "roi_head.bbox_head.fc_cls."),
    (r"roi_heads\.box_predictor\.bbox_pred\.", "roi_head.bbox_head.fc_reg."),
    (r"roi_heads\.mask_head\.(\d)\.0\.", r"roi_head.mask_head.convs.\1.conv."),
    (r"roi_heads\.mask_predictor\.conv5_mask\.", "roi_head.mask_head.upsample."),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits\.", "roi_head.mask_head.conv_logits."),
)


def detectron2_name(key: str) -> str:
    key = re.sub(r"^backbone\.body\.(conv1|bn1)\.", r"backbone.bottom_up.stem.\1.", key)
    key = re.sub(r"^backbone\.body\.layer(\d)\.", lambda m: f"backbone.bottom_up.res{int(m[1]) + 1}.", key)
    key = re.sub(r"\.bn(\d)\.", r".conv\1.norm.", key)
    key = key.replace(".downsample.0.", ".shortcut.").replace(".downsample.1.", ".shortcut.norm.")
    for ours, theirs in (("inner", "lateral"), ("layer", "output")):
        pattern = rf"^backbone\.fpn\.{ours}_blocks\.(\d)\.0\."
        key = re.sub(pattern, lambda m, n=theirs: f"backbone.fpn_{n}{int(m[1]) + 2}.", key)
    key = re.sub(
        r"^roi_heads\.mask_head\.(\d)\.0\.", lambda m: f"roi_heads.mask_head.mask_fcn{int(m[1]) + 1}.", key
    )
    for ours, theirs in (
        ("rpn.head.conv.0.0.", "proposal_generator.rpn_head.conv."),
        ("rpn.head.cls_logits.", "proposal_generator.rpn_head.objectness_logits."),
        ("rpn.head.bbox_pred.", "proposal_generator.rpn_head.anchor_deltas."),
        ("box_head.fc6.", "box_head.fc1."),
        ("box_head.fc7.", "box_head.fc2."),
        ("mask_predictor.conv5_mask.", "mask_head.deconv."),
        ("mask_predictor.mask_fcn_logits.", "mask_head.predictor."),
    ):
        key = key.replace(ours, theirs)
    return key


def mmdetection_name(key: str) -> str:
    for ours, theirs in MMDETECTION:
        key, count = re.subn(f"^{ours}", theirs, key)
        if count:
            break
    return key


def old_name(key: str) -> str:
    key = re.sub(r"^(backbone\.fpn\.\w+_blocks\.\d)\.0\.", r"\1.", key)
    key = key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    return re.sub(r"mask_head\.(\d)\.0\.", lambda m: f"mask_head.mask_fcn{int(m[1]) + 1}.", key)


def background_last(state: State) -> State:
    """The weights as others store them: the background's logits last, and no other part for it."""
    result = dict(state)
    for key, value in state.items():
        if "cls_score" in key:
            result[key] = value.roll(-1, 0)
        elif "bbox_pred" in key and key.startswith("roi_heads"):
            result[key] = value[4:]
        elif "mask_fcn_logits" in key:
            result[key] = value[1:]
    return result


def weights_of(name: str, classes: tuple[str, ...] | None) -> State:
    model = build_network(name, classes, (64, 64))
    return {key: value for key, value in model.state_dict().items() if "num_batches" not in key}


@pytest.mark.parametrize(
    ("name", "classes", "rename", "turned", "extra"),
    [
        ("mmdet_mask_rcnn_r50", ("a", "b"), mmdetection_name, background_last, {}),
        (
            "detectron2_mask_rcnn_r50",
            ("a", "b"),
            detectron2_name,
            background_last,
            {
                "pixel_mean": torch.zeros(3, 1, 1),
                "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4),
            },
        ),
        ("maskrcnn_resnet50_fpn", None, old_name, dict, {}),
        ("maskrcnn_resnet50_fpn_v2", ("a",), str, dict, {}),
    ],
)
def test_a_published_file_loads(
    name: str,
    classes: tuple[str, ...] | None,
    rename: Callable[[str], str],
    turned: Callable[[State], State],
    extra: State,
    tmp_path: Path,
) -> None:
    wanted = weights_of(name, classes)
    state = {rename(key): value for key, value in turned(wanted).items()}
    if name.startswith("detectron2"):
        state["backbone.bottom_up.stem.conv1.weight"] = state["backbone.bottom_up.stem.conv1.weight"].flip(1)
    torch.save({"model": state | extra}, tmp_path / "published.pth")
    model = build_network(name, classes, (64, 64))

    load_weights(model, tmp_path / "published.pth")

    background = re.compile(r"^roi_heads\.(box_predictor\.bbox_pred|mask_predictor\.mask_fcn_logits)")
    for key, value in model.state_dict().items():
        if "num_batches" in key:
            continue
        first = 0 if turned is dict or not background.match(key) else len(value) // 3
        assert value[first:].equal(wanted[key][first:]), key


def test_a_file_of_the_other_version_is_named(tmp_path: Path) -> None:
    torch.save(weights_of("maskrcnn_resnet50_fpn_v2", None), tmp_path / "v2.pth")
    model = build_network("maskrcnn_resnet50_fpn", None, (64, 64))
    with pytest.raises(CheckpointError, match="it looks like maskrcnn_resnet50_fpn_v2"):
        load_weights(model, tmp_path / "v2.pth")


def test_other_classes_are_named(tmp_path: Path) -> None:
    state = weights_of("mmdet_mask_rcnn_r50", ("a", "b", "c"))
    torch.save({mmdetection_name(k): v for k, v in background_last(state).items()}, tmp_path / "three.pth")
    model = build_network("mmdet_mask_rcnn_r50", None, (64, 64))
    with pytest.raises(CheckpointError, match="6 of another shape.*another number of classes"):
        load_weights(model, tmp_path / "three.pth")
