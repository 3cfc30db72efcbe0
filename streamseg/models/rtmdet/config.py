"""What an RTMDet-Ins is made of, as data, and those networks that have a name.

Tested in tests/models/rtmdet/test_network.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamseg.errors import ConfigError
from streamseg.models.coco_classes import COCO_CLASSES

__all__ = ["MASK_CHANNELS", "RTMDET_CONFIGS", "STRIDES", "RtmDetConfig", "rtmdet_resized"]

STRIDES = (8, 16, 32)
"""Pixels of the input to a cell, level by level; masks are drawn at the first."""
MASK_CHANNELS = 8
"""Of the features that all masks are drawn from, and of the layers that draw them."""
MULTIPLE = STRIDES[-1]


@dataclass(frozen=True, slots=True)
class RtmDetConfig:
    """One network; `RTMDET_CONFIGS` holds those that have a name."""

    name: str
    classes: tuple[str, ...]
    """Foreground classes; there is no background channel."""
    stage_widths: tuple[int, int, int, int]
    """Output channels of the backbone's stages at strides 4, 8, 16, 32; the last three feed the neck."""
    stage_blocks: tuple[int, int, int, int]
    neck_width: int
    """Channels of all levels after the neck, and of the heads."""
    neck_blocks: int
    input_hw: tuple[int, int] = (640, 640)
    """Height and width of the input, pixels, multiples of 32. The picture keeps its aspect in it."""
    mean_rgb: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std_rgb: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Normalisation in 0…255: (rgb − mean) / std."""


def _of_size(
    size: str, stage_widths: tuple[int, int, int, int], neck_width: int, neck_blocks: int
) -> RtmDetConfig:
    """The stages in the middle have twice as many blocks as those at the ends, which have the neck's."""
    blocks = (neck_blocks, 2 * neck_blocks, 2 * neck_blocks, neck_blocks)
    return RtmDetConfig(f"rtmdet_ins_{size}", COCO_CLASSES, stage_widths, blocks, neck_width, neck_blocks)


RTMDET_CONFIGS = {
    config.name: config
    for config in (
        replace(_of_size("tiny", (48, 96, 192, 384), 96, 1), stage_blocks=(1, 1, 1, 1)),
        _of_size("s", (64, 128, 256, 512), 128, 1),
        _of_size("m", (96, 192, 384, 768), 192, 2),
        _of_size("l", (128, 256, 512, 1024), 256, 3),
        _of_size("x", (160, 320, 640, 1280), 320, 4),
    )
}


def rtmdet_resized(config: RtmDetConfig, input_hw: Sequence[int]) -> RtmDetConfig:
    """`config` for another input size. Raises ConfigError."""
    height, width = input_hw
    if min(height, width) < 2 * MULTIPLE or height % MULTIPLE or width % MULTIPLE:
        raise ConfigError(
            f"input size {height}x{width}: {config.name} takes multiples of {MULTIPLE},"
            f" {2 * MULTIPLE} and more"
        )
    return replace(config, input_hw=(height, width))
