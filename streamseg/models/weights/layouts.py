"""Published weights under our parameters' names.

| layout      | what tells it             | source                                          |
|-------------|---------------------------|-------------------------------------------------|
| ours        | `prediction_layers.0.…`   | our own files; dbolya/yolact, whose names we use |
| yolact_edge | `fpn_phase_1.…`           | haotian-liu/yolact_edge                         |
| mmdetection | `bbox_head.conv_coeff.…`  | open-mmlab/mmdetection 2.x and 3.x, YOLACT      |
|             | `mask_head.conv_cls.…`    | the same, SOLO and SOLOv2                       |
| WXinlong    | `bbox_head.solo_cate.…`   | WXinlong/SOLO, SOLO and SOLOv2                  |
|             | `bbox_head.dsolo_cate.…`  | the same, decoupled SOLO                        |
| AdelaiDet   | `ins_head.…`              | aim-uofa/AdelaiDet, on detectron2's backbone    |
| mmdetection | `bbox_head.rtm_kernel.…`  | open-mmlab/mmdetection 3.x, RTMDet-Ins          |
|             | `roi_head.bbox_head.…`    | open-mmlab/mmdetection 2.x and 3.x, Mask R-CNN  |
| detectron2  | `proposal_generator.…`    | facebookresearch/detectron2, Mask R-CNN         |
| torchvision | `roi_heads.…`             | torchvision, Mask R-CNN; these names are ours   |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from streamseg.models.weights.rcnn_layouts import (
    DETECTRON2_RENAMES,
    MMDETECTION_RCNN_RENAMES,
    TORCHVISION_RENAMES,
    background_named,
    rgb_background_named,
)
from streamseg.models.weights.rtmdet_layout import RTMDET_RENAMES, single_tower
from streamseg.models.weights.solo_layouts import (
    ADELAIDET_RENAMES,
    MMDETECTION_RENAMES,
    ORIGINAL_RENAMES,
    from_bgr,
    modulated,
)

__all__ = ["LAYOUTS", "Layout", "our_state"]

State = dict[str, Any]


class Layout(NamedTuple):
    """One way to name parameters."""

    name: str
    mark: str
    """Beginning of a key that no other layout has."""
    renames: tuple[tuple[str, str], ...] = ()
    """Regular expressions and what replaces them; of each key the first that matches. "" drops the key."""
    finish: Callable[[State], State] | None = None
    """What renaming cannot do, done to the renamed state."""


def background_first(state: State) -> State:
    """mmdetection's class logits end with the background; ours begin with it, for every anchor."""
    boxes = state.get("prediction_layers.0.bbox_layer.bias")
    anchors = len(boxes) // 4 if isinstance(boxes, Tensor) and boxes.ndim == 1 else 0
    turned = dict(state)
    for key in ("prediction_layers.0.conf_layer.weight", "prediction_layers.0.conf_layer.bias"):
        value = state.get(key)
        if isinstance(value, Tensor) and value.ndim and anchors and len(value) % anchors == 0:
            turned[key] = value.reshape(anchors, -1, *value.shape[1:]).roll(1, dims=1).reshape(value.shape)
    return turned


# Old files hold the backbone twice, and FPN levels that were never used (dbolya's own loader drops them).
LEFTOVERS = ((r"^backbone\.layer(?!s\.).*", ""), (r"^fpn\.downsample_layers\.([2-9]|\d\d+)\..*", ""))

LAYOUTS = (
    Layout(
        name="yolact_edge",
        mark="fpn_phase_1.",
        renames=(
            (r"^fpn_phase_1\.lat_layers\.", "fpn.lat_layers."),
            (r"^fpn_phase_2\.downsample_layers\.([2-9]|\d\d+)\..*", ""),
            (r"^fpn_phase_2\.", "fpn."),
            *LEFTOVERS,
        ),
    ),
    Layout(
        name="mmdetection",
        mark="bbox_head.conv_coeff.",
        renames=(
            (r"^backbone\.layer1\.", "backbone.layers.0."),
            (r"^backbone\.layer2\.", "backbone.layers.1."),
            (r"^backbone\.layer3\.", "backbone.layers.2."),
            (r"^backbone\.layer4\.", "backbone.layers.3."),
            # From the finest level to the coarsest there, the other way round here.
            (r"^neck\.lateral_convs\.0\.conv\.", "fpn.lat_layers.2."),
            (r"^neck\.lateral_convs\.1\.conv\.", "fpn.lat_layers.1."),
            (r"^neck\.lateral_convs\.2\.conv\.", "fpn.lat_layers.0."),
            (r"^neck\.fpn_convs\.0\.conv\.", "fpn.pred_layers.2."),
            (r"^neck\.fpn_convs\.1\.conv\.", "fpn.pred_layers.1."),
            (r"^neck\.fpn_convs\.2\.conv\.", "fpn.pred_layers.0."),
            (r"^neck\.fpn_convs\.3\.conv\.", "fpn.downsample_layers.0."),
            (r"^neck\.fpn_convs\.4\.conv\.", "fpn.downsample_layers.1."),
            (r"^bbox_head\.head_convs\.0\.conv\.", "prediction_layers.0.upfeature.0."),
            (r"^bbox_head\.conv_reg\.", "prediction_layers.0.bbox_layer."),
            (r"^bbox_head\.conv_cls\.", "prediction_layers.0.conf_layer."),
            (r"^bbox_head\.conv_coeff\.", "prediction_layers.0.mask_layer."),
            (r"^mask_head\.protonet\.", "proto_net."),
            (r"^segm_head\.segm_conv\.", "semantic_seg_conv."),  # 2.x
            (r"^mask_head\.segm_branch\.segm_conv\.", "semantic_seg_conv."),  # 3.x
        ),
        finish=background_first,
    ),
    Layout("mmdetection", "mask_head.conv_cls.", MMDETECTION_RENAMES, modulated),
    Layout("WXinlong", "bbox_head.solo_cate.", ORIGINAL_RENAMES, modulated),
    Layout("WXinlong", "bbox_head.dsolo_cate.", ORIGINAL_RENAMES, modulated),
    Layout("AdelaiDet", "ins_head.", ADELAIDET_RENAMES, from_bgr),
    Layout("mmdetection", "bbox_head.rtm_kernel.", RTMDET_RENAMES, single_tower),
    Layout("mmdetection", "roi_head.bbox_head.", MMDETECTION_RCNN_RENAMES, background_named),
    Layout("detectron2", "proposal_generator.", DETECTRON2_RENAMES, rgb_background_named),
    Layout("torchvision", "roi_heads.", TORCHVISION_RENAMES),
    Layout(name="ours", mark="prediction_layers.", renames=LEFTOVERS),
)


def our_state(state: Mapping[str, Any]) -> State:
    """A state_dict of any layout known here under our names; unknown keys stay as they are."""
    layout = next((entry for entry in LAYOUTS if any(key.startswith(entry.mark) for key in state)), None)
    if layout is None:
        return dict(state)
    renamed = {_renamed(key, layout.renames): value for key, value in state.items()}
    renamed.pop("", None)
    return layout.finish(renamed) if layout.finish else renamed


def _renamed(key: str, renames: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in renames:
        name, count = re.subn(pattern, replacement, key, count=1)
        if count:
            return name
    return key
