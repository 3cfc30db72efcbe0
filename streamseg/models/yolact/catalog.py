"""The networks that have a name. Tested in tests/models/yolact/test_yolact_variants.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

from streamseg.errors import ConfigError, did_you_mean
from streamseg.models.backbones.efficientnet import WIDTHS as EFFICIENTNET_WIDTHS
from streamseg.models.coco_classes import COCO_CLASSES
from streamseg.models.yolact.config import DBOLYA, MMDETECTION, YolactConfig
from streamseg.models.yolact.yolact import Yolact

__all__ = ["CONFIGS", "build_model", "resized"]

REST = "other"
"""Class of `yolact_lite` for every annotated object that has no class of its own: learnt, so that it is not
taken for one of those, and left out of the exported engine."""
LITE_CLASSES = (
    *("person", "car", "cat", "dog", "elephant", "bear", "tiger", "deer", "monkey", "otter", "turtle"),
    *("bus", "truck", "motorcycle", "shape", REST),
)

PASCAL_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)
YOLACT_R50 = YolactConfig(
    name="yolact_r50",
    classes=COCO_CLASSES,
    input_hw=(550, 550),
    block="bottleneck",
    stem="conv7_pool",
    stem_width=64,
    stage_widths=(256, 512, 1024, 2048),
    stage_blocks=R50,
    fpn_width=256,
    fpn_extra_levels=2,
    proto_widths=(256, 256, 256),
    proto_up_width=256,
    head_width=256,
    mask_dim=32,
    norm=False,
    anchor_scales=(24, 48, 96, 192, 384),
    square_anchors=True,
)
YOLACT_R101 = replace(YOLACT_R50, name="yolact_r101", stage_blocks=R101)
YOLACT_PLUS_R50 = replace(
    YOLACT_R50,
    name="yolact_plus_r50",
    square_anchors=False,
    anchor_octaves=(1.0, 2 ** (1 / 3), 2 ** (2 / 3)),
    deform_interval=1,
    mask_rescoring=True,
)
MMDET_YOLACT_R50 = replace(
    YOLACT_R50,
    name="mmdet_yolact_r50",
    square_anchors=False,
    anchor_aspects=(2.0, 1.0, 0.5),
    extra_from_c5=True,
    fpn_relu=False,
    selection=MMDETECTION,
)

CONFIGS: dict[str, YolactConfig] = {
    "yolact_r50": YOLACT_R50,
    "yolact_r101": YOLACT_R101,
    "yolact_darknet53": replace(
        YOLACT_R50,
        name="yolact_darknet53",
        block="darknet",
        stem="conv3_full",
        stem_width=32,
        stage_widths=(64, 128, 256, 512, 1024),
        stage_blocks=(1, 2, 8, 8, 4),
        mean_rgb=(0.0, 0.0, 0.0),
        std_rgb=(255.0, 255.0, 255.0),
    ),
    "yolact_im400": replace(
        YOLACT_R101, name="yolact_im400", input_hw=(400, 400), anchor_scales=(17, 34, 69, 139, 279)
    ),
    "yolact_im700": replace(
        YOLACT_R101, name="yolact_im700", input_hw=(700, 700), anchor_scales=(30, 61, 122, 244, 488)
    ),
    "yolact_plus_r50": YOLACT_PLUS_R50,
    "yolact_plus_r101": replace(
        YOLACT_PLUS_R50, name="yolact_plus_r101", stage_blocks=R101, deform_interval=3
    ),
    "yolact_r50_pascal": replace(
        YOLACT_R50,
        name="yolact_r50_pascal",
        classes=PASCAL_CLASSES,
        anchor_scales=(32, 64, 128, 256, 512),
        square_anchors=False,
    ),
    "mmdet_yolact_r50": MMDET_YOLACT_R50,
    "mmdet_yolact_r101": replace(MMDET_YOLACT_R50, name="mmdet_yolact_r101", stage_blocks=R101),
    "yolact_lite": YolactConfig(
        name="yolact_lite",
        classes=LITE_CLASSES,
        input_hw=(320, 448),
        block="efficientnet_lite0",
        stem="conv3",
        stem_width=32,
        stage_widths=EFFICIENTNET_WIDTHS,
        stage_blocks=(),
        fpn_width=80,
        fpn_extra_levels=1,
        proto_widths=(80, 80),
        proto_up_width=48,
        head_width=96,
        mask_dim=24,
        norm=True,
        anchor_scales=(24, 52, 116, 256),
        mean_rgb=(127.0, 127.0, 127.0),
        std_rgb=(128.0, 128.0, 128.0),
        # Faint instances cost nothing in the graph and are for the user to cut: mask AP 45.0 instead of 44.6.
        selection=replace(DBOLYA, prior_score=0.01),
    ),
}


def build_model(
    name: str, classes: Sequence[str] | None = None, input_hw: tuple[int, int] | None = None
) -> Yolact:
    """A network with random weights; other classes or another input size as asked. Raises ConfigError."""
    if name not in CONFIGS:
        hint = did_you_mean(name, CONFIGS)
        raise ConfigError(f"model {name!r}: unknown; {hint + ' ' if hint else ''}known: {', '.join(CONFIGS)}")
    config = CONFIGS[name]
    if classes is not None:
        config = replace(config, classes=tuple(classes))
    if input_hw is not None:
        config = resized(config, input_hw)
    return Yolact(config)


def resized(config: YolactConfig, input_hw: tuple[int, int]) -> YolactConfig:
    """`config` for another input size.

    Anchors keep their size relative to the input: scaled by √(h·w) and cut to whole pixels, which for
    square inputs are the values of upstream's im400 and im700 variants. Raises ConfigError.
    """
    if input_hw == config.input_hw:
        return config
    # The judge of masks halves them five times without padding: 64 cells, a quarter of the input, pass.
    least = 249 if config.mask_rescoring else 64
    if min(input_hw) < least:
        size = f"{input_hw[0]}x{input_hw[1]}"
        raise ConfigError(f"input size {size}: too small for {config.name}, at least {least} pixels a side")
    ratio = sqrt(input_hw[0] * input_hw[1]) / sqrt(config.input_hw[0] * config.input_hw[1])
    scales = tuple(float(int(scale * ratio)) for scale in config.anchor_scales)
    return replace(config, input_hw=input_hw, anchor_scales=scales)
