"""How published SOLO and SOLOv2 weights become ours; `streamseg.models.weights.layouts` has the table.

Tested in tests/models/weights/test_layouts.py.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = [
    "ADELAIDET_RENAMES",
    "MMDETECTION_RENAMES",
    "ORIGINAL_RENAMES",
    "detectron2_stage",
    "from_bgr",
    "modulated",
]

Renames = tuple[tuple[str, str], ...]
State = dict[str, Any]

FEATURES = "head.mask_feature_head."
BACKBONE: Renames = tuple((rf"^backbone\.layer{i + 1}\.", f"backbone.layers.{i}.") for i in range(4))

MMDETECTION_RENAMES: Renames = (*BACKBONE, (r"^mask_head\.", "head."))

ORIGINAL_RENAMES: Renames = (
    *BACKBONE,
    (r"^mask_feat_head\.conv_pred\.0\.", f"{FEATURES}conv_pred."),
    (r"^mask_feat_head\.", FEATURES),
    (r"^bbox_head\.cate_convs\.", "head.cls_convs."),
    (r"^bbox_head\.solo_cate\.", "head.conv_cls."),
    (r"^bbox_head\.solo_kernel\.", "head.conv_kernel."),
    # SOLO: one branch, or one for columns and one for rows.
    (r"^bbox_head\.ins_convs", "head.mask_convs"),
    (r"^bbox_head\.d?solo_ins_list", "head.conv_mask_list"),
    (r"^bbox_head\.dsolo_cate\.", "head.conv_cls."),
    (r"^bbox_head\.", "head."),
)


def detectron2_stage(i: int, ours: str) -> Renames:
    """Of a ResNet's stage `i` from 0, whose blocks are here in `ours`."""
    theirs, ours = rf"^backbone\.bottom_up\.res{i + 2}\.(\d+)\.", rf"{ours}.\1."
    return (
        (rf"{theirs}conv(\d)\.norm\.", rf"{ours}bn\2."),
        (rf"{theirs}shortcut\.norm\.", rf"{ours}downsample.1."),
        (rf"{theirs}shortcut\.", rf"{ours}downsample.0."),
        (theirs, ours),
    )


def _adelaidet_tower(theirs: str, ours: str) -> Renames:
    """Convolution, normalisation and ReLU are three entries of one list there."""
    parts = ((i, j, part) for i in range(4) for j, part in enumerate(("conv", "gn")))
    return tuple((rf"^ins_head\.{theirs}\.{3 * i + j}\.", f"head.{ours}.{i}.{part}.") for i, j, part in parts)


ADELAIDET_RENAMES: Renames = (
    (r"^backbone\.bottom_up\.stem\.conv1\.norm\.", "backbone.bn1."),
    (r"^backbone\.bottom_up\.stem\.", "backbone."),
    *(rename for i in range(4) for rename in detectron2_stage(i, f"backbone.layers.{i}")),
    *((rf"^backbone\.fpn_lateral{i + 2}\.", f"neck.lateral_convs.{i}.conv.") for i in range(4)),
    *((rf"^backbone\.fpn_output{i + 2}\.", f"neck.fpn_convs.{i}.conv.") for i in range(4)),
    *_adelaidet_tower("cate_tower", "cls_convs"),
    *_adelaidet_tower("kernel_tower", "kernel_convs"),
    (r"^ins_head\.cate_pred\.", "head.conv_cls."),
    (r"^ins_head\.kernel_pred\.", "head.conv_kernel."),
    (r"^mask_head\.(convs_all_levels\.\d\.conv\d|conv_pred)\.0\.", rf"{FEATURES}\1.conv."),
    (r"^mask_head\.(convs_all_levels\.\d\.conv\d|conv_pred)\.1\.", rf"{FEATURES}\1.gn."),
)

OFFSETS = re.compile(r"\.conv_offset\.|(?<=\.conv2)_offset\.")
"""What mmdetection calls the convolution that gives offsets, since mmcv and before it."""
CERTAIN = 20.0
"""sigmoid(20) is 1 in float32."""


def modulated(state: State) -> State:
    """Deformable convolutions of either version as ours: the second, with a bias.

    Version 1 gives every tap the weight 1; neither has a bias where normalisation follows.
    """
    result = {OFFSETS.sub(".conv_offset_mask.", key): value for key, value in state.items()}
    for key, offsets in list(result.items()):
        layer, _, part = key.rpartition(".conv_offset_mask.")
        weight = result.get(f"{layer}.weight")
        if not layer or not isinstance(weight, Tensor) or weight.ndim != 4 or not isinstance(offsets, Tensor):
            continue
        taps = weight.shape[2] * weight.shape[3]
        if offsets.ndim and len(offsets) == 2 * taps:
            missing = (0, 0) * (offsets.ndim - 1) + (0, taps)
            result[key] = pad(offsets, missing, value=CERTAIN if part == "bias" else 0.0)
        result.setdefault(f"{layer}.bias", torch.zeros(len(weight)))
    return result


def from_bgr(state: State) -> State:
    """The first convolution of a network trained on BGR, for RGB."""
    key = "backbone.conv1.weight"
    weight = state.get(key)
    return {**state, key: weight.flip(1)} if isinstance(weight, Tensor) and weight.ndim == 4 else state
