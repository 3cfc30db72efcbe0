"""What a SOLO or SOLOv2 is made of, as data, and those networks that have a name.

Tested in tests/models/solo/test_solov2.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from streamseg.errors import ConfigError
from streamseg.models.coco_classes import COCO_CLASSES

__all__ = ["SOLO_CONFIGS", "SoloConfig", "solo_resized"]

MULTIPLE = 32
"""Sides of the input are multiples of the coarsest stride that both heads share."""


@dataclass(frozen=True, slots=True)
class SoloConfig:
    """One network; `SOLO_CONFIGS` holds those that have a name."""

    name: str
    classes: tuple[str, ...]
    """Foreground classes; there is no background channel."""
    input_hw: tuple[int, int]
    """Height and width of the input, pixels, multiples of 32. The picture keeps its aspect in it."""
    head: Literal["dynamic", "cells", "decoupled", "decoupled_light"] = "dynamic"
    """What draws a cell's mask: a kernel of its own on features for all (SOLOv2), a fixed kernel on those of
    its level (SOLO), or the product of its column's and its row's masks, from two towers or from one."""
    block: Literal["bottleneck", "basic", "resnext"] = "bottleneck"
    """`resnext` is the 64 × 4d form of `bottleneck`."""
    stage_blocks: tuple[int, ...] = (3, 4, 6, 3)
    stage_widths: tuple[int, ...] = (256, 512, 1024, 2048)
    """Output channels of the stages at strides 4, 8, 16, 32; all feed the FPN."""
    stem: Literal["conv7_pool"] = "conv7_pool"
    stem_width: int = 64
    deform_interval: int = 0
    """Every so many blocks of the last three stages sample where they choose to (DCNv2); 0: none."""
    stride_in_1x1: bool = False
    """Bottlenecks take their stride in the first convolution, as the Caffe networks did."""
    fpn_width: int = 256
    grids: tuple[int, ...] = (40, 36, 24, 16, 12)
    """Cells along each side of the picture, by level, whatever its aspect."""
    cell_strides: tuple[int, ...] = (8, 8, 16, 32, 32)
    """Stride of each grid's level, pixels; a mask must set more cells than that."""
    tower_depth: int = 4
    tower_width: int = 512
    tower_deform: int = 0
    """How many convolutions of the towers, from the last back, are deformable."""
    kernel_width: int = 256
    """Length of a cell's kernel: channels of the mask features (dynamic head only)."""
    feature_width: int = 128
    """Channels of the mask feature head before its last convolution (dynamic head only)."""
    feature_deform: bool = False
    """The mask feature head's convolutions are deformable."""
    mean_rgb: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std_rgb: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Normalisation in 0…255: (rgb − mean) / std."""


R18, R34, R101 = (2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3)
BASIC_WIDTHS = (64, 128, 256, 512)

SOLOV2_R50 = SoloConfig(name="solov2_r50", classes=COCO_CLASSES, input_hw=(768, 1344))
SOLOV2_R101 = replace(SOLOV2_R50, name="solov2_r101", stage_blocks=R101)
LIGHT_R50 = replace(
    SOLOV2_R50,
    name="solov2_light_r50",
    input_hw=(448, 768),
    tower_depth=2,
    tower_width=256,
    kernel_width=128,
)
LIGHT_R34 = replace(
    LIGHT_R50, name="solov2_light_r34", block="basic", stage_blocks=R34, stage_widths=BASIC_WIDTHS
)
SOLOV2_R101_DCN = replace(
    SOLOV2_R101, name="solov2_r101_dcn", deform_interval=1, tower_deform=4, feature_deform=True
)
SOLO_R50 = replace(SOLOV2_R50, name="solo_r50", head="cells", tower_depth=7, tower_width=256)
SOLO_R101 = replace(SOLO_R50, name="solo_r101", stage_blocks=R101)
DECOUPLED_LIGHT_R50 = replace(
    SOLO_R50,
    name="decoupled_solo_light_r50",
    head="decoupled_light",
    input_hw=(480, 864),
    tower_depth=4,
)

SOLO_CONFIGS: dict[str, SoloConfig] = {
    "solov2_r50": SOLOV2_R50,
    "solov2_r101": SOLOV2_R101,
    "solov2_r101_dcn": SOLOV2_R101_DCN,
    "solov2_x101_dcn": replace(SOLOV2_R101_DCN, name="solov2_x101_dcn", block="resnext"),
    "solov2_light_r18": replace(LIGHT_R34, name="solov2_light_r18", stage_blocks=R18),
    "solov2_light_r34": LIGHT_R34,
    "solov2_light_r50": LIGHT_R50,
    "solov2_light_r50_dcn": replace(
        LIGHT_R50,
        name="solov2_light_r50_dcn",
        input_hw=(480, 864),
        deform_interval=1,
        tower_depth=3,
        tower_deform=1,
    ),
    "solo_r50": SOLO_R50,
    "solo_r101": SOLO_R101,
    "decoupled_solo_r50": replace(SOLO_R50, name="decoupled_solo_r50", head="decoupled"),
    "decoupled_solo_r101": replace(SOLO_R101, name="decoupled_solo_r101", head="decoupled"),
    "decoupled_solo_light_r50": DECOUPLED_LIGHT_R50,
    "decoupled_solo_light_dcn_r50": replace(
        DECOUPLED_LIGHT_R50, name="decoupled_solo_light_dcn_r50", deform_interval=1, tower_deform=1
    ),
    "adelaidet_solov2_r50": replace(
        SOLOV2_R50, name="adelaidet_solov2_r50", stride_in_1x1=True, std_rgb=(1.0, 1.0, 1.0)
    ),
    "adelaidet_solov2_r101": replace(
        SOLOV2_R101, name="adelaidet_solov2_r101", stride_in_1x1=True, std_rgb=(1.0, 1.0, 1.0)
    ),
}


def solo_resized(config: SoloConfig, input_hw: tuple[int, int]) -> SoloConfig:
    """`config` for another input size; nothing in the weights depends on it. Raises ConfigError."""
    if any(side < 2 * MULTIPLE or side % MULTIPLE for side in input_hw):
        height, width = (max(2 * MULTIPLE, -(-side // MULTIPLE) * MULTIPLE) for side in input_hw)
        raise ConfigError(
            f"input size {input_hw[0]}x{input_hw[1]}: {config.name} takes multiples of {MULTIPLE},"
            f" such as {height}x{width}"
        )
    return replace(config, input_hw=input_hw)
