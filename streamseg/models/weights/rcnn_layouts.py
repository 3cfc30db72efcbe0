"""How published Mask R-CNN weights become ours; `streamseg.models.weights.layouts` has the table.

Tested in tests/models/weights/test_rcnn_layouts.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from streamseg.models.weights.solo_layouts import detectron2_stage

__all__ = [
    "DETECTRON2_RENAMES",
    "MMDETECTION_RCNN_RENAMES",
    "TORCHVISION_RENAMES",
    "background_named",
    "rgb_background_named",
]

Renames = tuple[tuple[str, str], ...]
State = dict[str, Any]

HEADS = "roi_heads."
STEM = "backbone.body.conv1.weight"

TORCHVISION_RENAMES: Renames = (
    # Files of before torchvision 0.13: without the block around a convolution.
    (r"^backbone\.fpn\.(inner|layer)_blocks\.(\d)\.(weight|bias)$", r"backbone.fpn.\1_blocks.\2.0.\3"),
    (r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1"),
    *((rf"^roi_heads\.mask_head\.mask_fcn{i + 1}\.", f"{HEADS}mask_head.{i}.0.") for i in range(4)),
)

MMDETECTION_RCNN_RENAMES: Renames = (
    (r"^backbone\.", "backbone.body."),
    (r"^neck\.lateral_convs\.(\d)\.conv\.", r"backbone.fpn.inner_blocks.\1.0."),
    (r"^neck\.fpn_convs\.(\d)\.conv\.", r"backbone.fpn.layer_blocks.\1.0."),
    (r"^rpn_head\.rpn_conv\.", "rpn.head.conv.0.0."),
    (r"^rpn_head\.rpn_cls\.", "rpn.head.cls_logits."),
    (r"^rpn_head\.rpn_reg\.", "rpn.head.bbox_pred."),
    (r"^roi_head\.bbox_head\.shared_fcs\.0\.", f"{HEADS}box_head.fc6."),
    (r"^roi_head\.bbox_head\.shared_fcs\.1\.", f"{HEADS}box_head.fc7."),
    (r"^roi_head\.bbox_head\.fc_cls\.", f"{HEADS}box_predictor.cls_score."),
    (r"^roi_head\.bbox_head\.fc_reg\.", f"{HEADS}box_predictor.bbox_pred."),
    (r"^roi_head\.mask_head\.convs\.(\d)\.conv\.", rf"{HEADS}mask_head.\1.0."),
    (r"^roi_head\.mask_head\.upsample\.", f"{HEADS}mask_predictor.conv5_mask."),
    (r"^roi_head\.mask_head\.conv_logits\.", f"{HEADS}mask_predictor.mask_fcn_logits."),
)


DETECTRON2_RENAMES: Renames = (
    (r"^backbone\.bottom_up\.stem\.conv1\.norm\.", "backbone.body.bn1."),
    (r"^backbone\.bottom_up\.stem\.", "backbone.body."),
    *(rename for i in range(4) for rename in detectron2_stage(i, f"backbone.body.layer{i + 1}")),
    *((rf"^backbone\.fpn_lateral{i + 2}\.", f"backbone.fpn.inner_blocks.{i}.0.") for i in range(4)),
    *((rf"^backbone\.fpn_output{i + 2}\.", f"backbone.fpn.layer_blocks.{i}.0.") for i in range(4)),
    (r"^pixel_(mean|std)$", ""),
    (r"^proposal_generator\.anchor_generator\..*", ""),
    (r"^proposal_generator\.rpn_head\.conv\.", "rpn.head.conv.0.0."),
    (r"^proposal_generator\.rpn_head\.objectness_logits\.", "rpn.head.cls_logits."),
    (r"^proposal_generator\.rpn_head\.anchor_deltas\.", "rpn.head.bbox_pred."),
    (r"^roi_heads\.box_head\.fc1\.", f"{HEADS}box_head.fc6."),
    (r"^roi_heads\.box_head\.fc2\.", f"{HEADS}box_head.fc7."),
    *((rf"^roi_heads\.mask_head\.mask_fcn{i + 1}\.", f"{HEADS}mask_head.{i}.0.") for i in range(4)),
    (r"^roi_heads\.mask_head\.deconv\.", f"{HEADS}mask_predictor.conv5_mask."),
    (r"^roi_heads\.mask_head\.predictor\.", f"{HEADS}mask_predictor.mask_fcn_logits."),
)


def background_named(state: State) -> State:
    """The background comes last among the classes' logits there and first here, where it has parts, never
    looked at, in the layers of boxes and masks too."""
    turned = dict(state)
    for part in ("weight", "bias"):
        logits = state.get(f"{HEADS}box_predictor.cls_score.{part}")
        if isinstance(logits, Tensor) and logits.ndim:
            turned[f"{HEADS}box_predictor.cls_score.{part}"] = logits.roll(1, dims=0)
        for key, rows in (("box_predictor.bbox_pred", 4), ("mask_predictor.mask_fcn_logits", 1)):
            value = state.get(f"{HEADS}{key}.{part}")
            if isinstance(value, Tensor) and value.ndim:
                none = torch.zeros(rows, *value.shape[1:], dtype=value.dtype)
                turned[f"{HEADS}{key}.{part}"] = torch.cat((none, value))
    return turned


def rgb_background_named(state: State) -> State:
    """The same, of a network that takes BGR."""
    turned = background_named(state)
    stem = turned.get(STEM)
    if isinstance(stem, Tensor) and stem.ndim == 4:
        turned[STEM] = stem.flip(1)
    return turned
