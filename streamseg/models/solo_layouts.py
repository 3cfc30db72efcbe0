"""Published SOLOv2 weights under our parameters' names.

| layout      | what tells it                  | source                                                     |
|-------------|--------------------------------|------------------------------------------------------------|
| mmdetection | `mask_head.conv_cls.*`         | open-mmlab/mmdetection 2.x and 3.x                          |
| original    | `bbox_head.solo_cate.*`        | WXinlong/SOLO                                              |
| AdelaiDet   | `ins_head.cate_pred.*`         | aim-uofa/AdelaiDet, on detectron2's backbone                |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["solo_state"]

FEATURES = "head.mask_feature_head."
Rules = tuple[tuple[str, str], ...]

BACKBONE: Rules = tuple((rf"^backbone\.layer{i + 1}\.", f"backbone.layers.{i}.") for i in range(4))
MMDETECTION: Rules = (*BACKBONE, (r"^mask_head\.", "head."))
ORIGINAL: Rules = (
    *BACKBONE,
    (r"^mask_feat_head\.conv_pred\.0\.", f"{FEATURES}conv_pred."),
    (r"^mask_feat_head\.", FEATURES),
    (r"^bbox_head\.cate_convs\.", "head.cls_convs."),
    (r"^bbox_head\.solo_cate\.", "head.conv_cls."),
    (r"^bbox_head\.solo_kernel\.", "head.conv_kernel."),
    (r"^bbox_head\.", "head."),
)
TOWERS = (("cate_tower", "cls_convs"), ("kernel_tower", "kernel_convs"))
ADELAIDET: Rules = (
    (r"^backbone\.bottom_up\.stem\.conv1\.norm\.", "backbone.bn1."),
    (r"^backbone\.bottom_up\.stem\.", "backbone."),
    *((rf"^backbone\.bottom_up\.res{i + 2}\.", f"backbone.layers.{i}.") for i in range(4)),
    (r"^(backbone\.layers\..*)\.conv(\d)\.norm\.", r"\1.bn\2."),
    (r"^(backbone\.layers\..*)\.shortcut\.norm\.", r"\1.downsample.1."),
    (r"^(backbone\.layers\..*)\.shortcut\.", r"\1.downsample.0."),
    *((rf"^backbone\.fpn_lateral{i + 2}\.", f"neck.lateral_convs.{i}.conv.") for i in range(4)),
    *((rf"^backbone\.fpn_output{i + 2}\.", f"neck.fpn_convs.{i}.conv.") for i in range(4)),
    # Convolution, normalisation and ReLU are three entries of one list there.
    *(
        (rf"^ins_head\.{theirs}\.{3 * i + part}\.", f"head.{ours}.{i}.{name}.")
        for theirs, ours in TOWERS
        for i in range(4)
        for part, name in enumerate(("conv", "gn"))
    ),
    (r"^ins_head\.cate_pred\.", "head.conv_cls."),
    (r"^ins_head\.kernel_pred\.", "head.conv_kernel."),
    (r"^mask_head\.(convs_all_levels\.\d\.conv\d|conv_pred)\.0\.", rf"{FEATURES}\1.conv."),
    (r"^mask_head\.(convs_all_levels\.\d\.conv\d|conv_pred)\.1\.", rf"{FEATURES}\1.gn."),
)
LAYOUTS: tuple[tuple[str, Rules], ...] = (
    ("mask_head.conv_cls.weight", MMDETECTION),
    ("bbox_head.solo_cate.weight", ORIGINAL),
    ("ins_head.cate_pred.weight", ADELAIDET),
)
OFFSETS: Rules = (
    (r"\.conv_offset\.", ".conv_offset_mask."),
    (r"\.conv2_offset\.", ".conv2.conv_offset_mask."),
)
"""Both spellings of mmdetection's, the second from before mmcv."""
CERTAIN = 20.0
"""sigmoid(20) is 1 in float32."""


def solo_state(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """`state` under our names, or None where it is in none of the published layouts.

    Keys that no rule knows stay as they are, so that loading names them.
    """
    rules = next((rules for key, rules in LAYOUTS if key in state), None)
    if rules is None:
        return None
    renamed = {_renamed(key, rules): value for key, value in state.items()}
    if rules is ADELAIDET:
        # It was trained on BGR; ours gets RGB.
        renamed["backbone.conv1.weight"] = renamed["backbone.conv1.weight"].flip(1)
    return _modulated(renamed)


def _renamed(key: str, rules: Rules) -> str:
    for pattern, name in (*rules, *OFFSETS):
        key = re.sub(pattern, name, key)
    return key


def _modulated(state: dict[str, Any]) -> dict[str, Any]:
    """Deformable convolutions of either version as ours: the second, with a bias.

    Version 1 gives every tap the weight 1; neither has a bias where normalisation follows.
    """
    result = dict(state)
    for key, offsets in state.items():
        layer, _, part = key.rpartition(".conv_offset_mask.")
        weight = state.get(f"{layer}.weight")
        if not layer or not isinstance(weight, Tensor) or not isinstance(offsets, Tensor):
            continue
        taps = weight.shape[2] * weight.shape[3]
        if offsets.shape[0] == 2 * taps:
            fill = CERTAIN if part == "bias" else 0.0
            result[key] = pad(offsets, (0, 0) * (offsets.dim() - 1) + (0, taps), value=fill)
        result.setdefault(f"{layer}.bias", torch.zeros(weight.shape[0]))
    return result
