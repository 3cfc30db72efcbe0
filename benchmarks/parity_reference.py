"""What parity is measured against: the reference's weights, pictures and outputs, and weights invented under
published names for configurations of which there are no outputs."""

from __future__ import annotations

import importlib.util
import json
import re
import zlib
from math import prod, sqrt
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from streamseg.evaluation.parity import Findings
from streamseg.models.network import build_network

IMAGES = ("scene_a_640x480", "scene_b_375x500", "scene_c_1280x720", "yolact_example_0")
State = dict[str, Tensor]


class Case(NamedTuple):
    """One configuration with the original's outputs."""

    model: str
    folder: str
    rows: int = 1
    """Every so many rows of the raw heads are stored."""
    cells: int = 1
    """Every so many rows and columns of the prototypes or mask features."""
    from_mmdetection: bool = False
    is_solo: bool = False


CASES = (
    Case("yolact_r50", "yolact_resnet50"),
    Case("yolact_plus_r50", "yolact_plus_resnet50", 16, 3),
    Case("mmdet_yolact_r50", "mmdet_yolact_r50", 16, 3, from_mmdetection=True),
    Case("solov2_light_r50", "mmdet_solov2_light_r50", 1, 8, from_mmdetection=True, is_solo=True),
)
LISTED = {
    "yolact_r101": "yolact_base",
    "yolact_darknet53": "yolact_darknet53",
    "yolact_im400": "yolact_im400",
    "yolact_im700": "yolact_im700",
    "yolact_plus_r101": "yolact_plus_base",
    "yolact_r50_pascal": "yolact_resnet50_pascal",
    "mmdet_yolact_r101": "mmdet_yolact_r101_1xb8-55e_coco",
    "solov2_r50": "mmdet_solov2_r50_1x",
    "solov2_r101": "mmdet_solov2_r101_fpn_ms-3x_coco",
    "solov2_light_r18": "mmdet_solov2_light_r18",
    "solov2_light_r34": "mmdet_solov2-light_r34_fpn_ms-3x_coco",
}
"""Configurations of which the reference lists keys and shapes, no more."""
DERIVED = {
    "solov2_r101_dcn": "mmdetection",
    "solov2_x101_dcn": "mmdetection",
    "solov2_light_r50_dcn": "WXinlong",
    "solo_r50": "mmdetection",
    "solo_r101": "WXinlong",
    "decoupled_solo_r50": "mmdetection",
    "decoupled_solo_r101": "WXinlong",
    "decoupled_solo_light_r50": "mmdetection",
    "decoupled_solo_light_dcn_r50": "WXinlong",
    "adelaidet_solov2_r50": "AdelaiDet",
    "adelaidet_solov2_r101": "AdelaiDet",
}
"""Configurations without any, by the layout in which their keys are derived from the published code."""
FIRST_VERSION = {"solov2_light_r50_dcn", "decoupled_solo_light_dcn_r50"}
"""Their deformable convolutions have 18 offsets and no weights for the taps."""


def reference_state(listing: Path) -> State:
    """The weights of a reference, by the recipe that lies beside it."""
    script = listing.parents[1] / "make_weights.py"
    spec = importlib.util.spec_from_file_location("make_weights", script)
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    content = json.loads(listing.read_text(encoding="utf-8"))
    return {
        entry["key"]: torch.from_numpy(np.ascontiguousarray(recipe.make_tensor(content["seed"], entry)))
        for entry in content["tensors"]
    }


def invented_state(name: str, reference: Path) -> State:
    """Weights under the published names of a configuration that has no reference outputs."""
    if name in LISTED:
        content = json.loads((reference / "keys_only" / f"{LISTED[name]}.json").read_text())
        shapes = {entry["key"]: tuple(entry["shape"]) for entry in content["tensors"]}
    else:
        shapes = derived_shapes(name)
    return {key: _invented(key, shape) for key, shape in shapes.items()}


def derived_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Keys and shapes as the publisher's code names them, from our own network's."""
    with torch.device("meta"):
        ours = {key: tuple(value.shape) for key, value in build_network(name).state_dict().items()}
    taps = {key.removesuffix("conv_offset_mask.weight") for key in ours if "conv_offset_mask.w" in key}
    shapes = {}
    for key, shape in ours.items():
        if key.removesuffix("bias") in taps:
            continue  # none where normalisation follows
        if DERIVED[name] == "AdelaiDet" and key.endswith("num_batches_tracked"):
            continue  # detectron2's frozen normalisation has no counter
        if "conv_offset_mask." in key and name in FIRST_VERSION:
            shape = (shape[0] * 2 // 3, *shape[1:])
        shapes[_published_key(key, DERIVED[name], decoupled=name.startswith("decoupled"))] = shape
    return shapes


ORIGINAL_NAMES = (
    ("mask_head.mask_feature_head.conv_pred.", "mask_feat_head.conv_pred.0."),
    ("mask_head.mask_feature_head.", "mask_feat_head."),
    ("mask_head.mask_convs", "bbox_head.ins_convs"),
    ("mask_head.cls_convs", "bbox_head.cate_convs"),
    ("mask_head.conv_mask_list_", "bbox_head.dsolo_ins_list_"),
    ("mask_head.conv_mask_list", "bbox_head.solo_ins_list"),
    ("mask_head.conv_kernel", "bbox_head.solo_kernel"),
    ("mask_head.", "bbox_head."),
)


def _published_key(key: str, layout: str, *, decoupled: bool) -> str:
    if layout == "AdelaiDet":
        return _adelaidet_key(key)
    key = re.sub(r"^backbone\.layers\.(\d)", lambda stage: f"backbone.layer{int(stage[1]) + 1}", key)
    key = re.sub(r"^head\.", "mask_head.", key).replace("conv_offset_mask", "conv_offset")
    if layout == "mmdetection":
        return key
    key = key.replace("mask_head.conv_cls", f"bbox_head.{'d' * decoupled}solo_cate")
    return next((theirs + key.removeprefix(p) for p, theirs in ORIGINAL_NAMES if key.startswith(p)), key)


def _adelaidet_key(key: str) -> str:
    """AdelaiDet's name: detectron2's backbone and FPN, its own heads."""
    part, _, rest = key.partition(".")
    if part == "backbone":
        if rest.startswith("layers."):
            _, stage, block, layer, *parts = rest.split(".")
            layer = f"{layer}.{parts.pop(0)}" if layer == "downsample" else layer
            layer = {"downsample.0": "shortcut", "downsample.1": "shortcut.norm"}.get(layer, layer)
            layer = f"conv{layer[2]}.norm" if layer.startswith("bn") else layer
            return f"backbone.bottom_up.res{int(stage) + 2}.{block}.{layer}.{parts[0]}"
        return f"backbone.bottom_up.stem.{rest.replace('bn1', 'conv1.norm')}"
    if part == "neck":
        kind, level, _, name = rest.split(".")
        kind = {"lateral_convs": "fpn_lateral", "fpn_convs": "fpn_output"}[kind]
        return f"backbone.{kind}{int(level) + 2}.{name}"
    if rest.startswith("mask_feature_head."):
        rest = rest.removeprefix("mask_feature_head.")
        return f"mask_head.{rest.replace('.conv.', '.0.').replace('.gn.', '.1.')}"
    if rest.startswith(("cls_convs", "kernel_convs")):
        kind, level, layer, name = rest.split(".")
        kind = {"cls_convs": "cate_tower", "kernel_convs": "kernel_tower"}[kind]
        return f"ins_head.{kind}.{3 * int(level) + (layer == 'gn')}.{name}"
    return f"ins_head.{rest.replace('conv_cls', 'cate_pred').replace('conv_kernel', 'kernel_pred')}"


CLASS_LOGITS = ("mask_head.conv_cls.bias", "solo_cate.bias", "ins_head.cate_pred.bias")
RESIDUAL_NORMS = ("bn3", "conv2.1", "conv3.norm")


def _invented(key: str, shape: tuple[int, ...]) -> Tensor:
    """Of sizes that keep activations alive and let classes be seen."""
    random: Tensor = (
        torch.rand(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode()))) * 2 - 1
    )
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if len(shape) == 4:
        gain = 0.3 if "offset" in key else 1.2
        return random * gain * sqrt(3 / prod(shape[1:]))
    if key.endswith("running_var"):
        return 1 + random / 2
    if key.endswith("weight"):  # of normalisation; smaller where a residual is added
        return (1 + random * 0.3) * (0.3 if any(name in key for name in RESIDUAL_NORMS) else 1.0)
    if key.endswith(CLASS_LOGITS):
        return random * 0.1 - 5  # SOLO has 309,760 pairs of a cell and a class: few may score
    return random * 0.1


def float_frame(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> Tensor:
    """(1, h, w, 3) BGR in 0…255: resized without rounding, as dbolya's does."""
    planes = torch.from_numpy(image).float().permute(2, 0, 1)[None]
    return interpolate(planes, size_hw, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def read_image(path: Path) -> NDArray[np.uint8]:
    """(h, w, 3) BGR."""
    return np.asarray(cv2.imread(str(path)), np.uint8)


class Original:
    """The reference outputs of one configuration."""

    def __init__(self, case: Case, reference: Path) -> None:
        self.case = case
        self.folder = reference / case.folder
        self.images = reference / "images"

    def image(self, name: str) -> NDArray[np.uint8]:
        return read_image(self.images / f"{name}.png")

    def exact_frame(self, name: str, size_hw: tuple[int, int]) -> Tensor:
        """What the original's network was given, before normalisation."""
        if self.case.from_mmdetection:
            return torch.from_numpy(self.rounded_frame(name, size_hw))
        return float_frame(self.image(name), size_hw)

    def rounded_frame(self, name: str, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """(1, h, w, 3) uint8 BGR, what an engine is given; pictures are stretched."""
        if self.case.from_mmdetection:
            image = cv2.resize(self.image(name), size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        else:
            image = read_image(self.images / f"{name}__{size_hw[1]}x{size_hw[0]}_u8.png")
        return np.asarray(image, np.uint8)[None]

    def padded_hw(self, name: str) -> tuple[int, int]:
        """SOLO: the size of the original's input for a picture, padding included."""
        with np.load(self.folder / f"det_{name}.npz") as z:
            height, width = (int(n) for n in z["padded_hw"])
        return height, width

    def raw(self) -> dict[str, NDArray[np.float32]]:
        """The raw heads of the first picture under our names, `conf` as logits or probabilities."""
        with np.load(self.folder / f"raw_{IMAGES[0]}.npz") as z:
            if self.case.is_solo:
                return {"category": z["cate_logits"], "kernel": z["kernel"], "features": z["mask_feats"]}
            if self.case.from_mmdetection:
                conf = np.roll(z["cls_logits"], 1, axis=1)  # background first
                return {"loc": z["reg"], "logits": conf, "coeff": z["coeff"], "proto": z["proto"]}
            return {"loc": z["loc"], "conf": z["conf"], "coeff": z["mask"], "proto": z["proto"]}

    def detections(self, name: str, *, rounded: bool) -> Findings:
        """What the original finds in the exact frame or, rounded, in the frame of an engine."""
        prefix = "det_u8" if rounded and not self.case.from_mmdetection else "det"
        with np.load(self.folder / f"{prefix}_{name}.npz") as z:
            height, width = (int(n) for n in z["image_hw"])
            edges = np.array([width, height, width, height], np.float32)
            mmdet = self.case.from_mmdetection
            boxes = None
            if not self.case.is_solo:
                # dbolya's own pixel boxes are cut to whole numbers; these are what they were made from.
                boxes = (z["boxes"] if mmdet else z["det_box"] * edges).clip(0, edges)
            return Findings(
                classes=z["labels"] if mmdet else z["classes"],
                scores=z["scores"],
                xyxy=boxes,
                masks=np.unpackbits(z["masks_packed"], axis=-1)[..., :width].astype(np.bool_),
            )

    def across_classes(self, name: str, size_hw: tuple[int, int]) -> Findings:
        """dbolya's cross-class Fast NMS, in pixels of the network's input; its masks are not stored."""
        with np.load(self.folder / f"det_{name}.npz") as z:
            edges = np.array([size_hw[1], size_hw[0]] * 2, np.float32)
            boxes = (z["cc_det_box"] * edges).clip(0, edges)
            return Findings(z["cc_det_class"], z["cc_det_score"], boxes, None)
