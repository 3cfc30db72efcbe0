"""What a PicoDet with masks is made of, as data.

Tested in tests/models/picodet/test_network.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamseg.errors import ConfigError
from streamseg.models.coco_classes import COCO_CLASSES

__all__ = ["PICODET_CONFIGS", "STRIDES", "PicoDetConfig", "picodet_resized"]

STRIDES = (8, 16, 32, 64)
"""Pixels of the input to a cell, level by level."""
SIZE_STEP = 32
"""Sides are multiples of it: the neck doubles its maps and joins them with those of the backbone."""


@dataclass(frozen=True, slots=True)
class PicoDetConfig:
    """One network; `PICODET_CONFIGS` holds those that have a name."""

    name: str
    classes: tuple[str, ...]
    input_hw: tuple[int, int]
    """Height and width of the input, pixels; multiples of 32."""
    bins: int = 8
    """A side's distance from its cell's centre is a mean over so many whole numbers of strides, from 0 on."""
    proto_width: int = 64
    """Channels of the prototype branch."""
    mask_dim: int = 32
    """Prototypes."""
    scenery: int = 32
    """Channels of what coefficients are made of within an object's box."""
    hidden: int = 256
    """Of the layers that make them."""
    shape_grid: int = 7
    """An object's coarse shape within its box has so many rows and columns; see `mask_branch`."""
    mean_rgb: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std_rgb: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Normalisation in 0…255: (rgb − mean) / std."""


PICODET_CONFIGS = {
    "picodet_s": PicoDetConfig(name="picodet_s", classes=COCO_CLASSES, input_hw=(416, 416)),
}


def picodet_resized(config: PicoDetConfig, input_hw: Sequence[int]) -> PicoDetConfig:
    """`config` for another input size. Raises ConfigError."""
    height, width = input_hw
    if min(height, width) < 2 * SIZE_STEP or height % SIZE_STEP or width % SIZE_STEP:
        raise ConfigError(
            f"input size {height}x{width}: {config.name} takes multiples of {SIZE_STEP},"
            f" {2 * SIZE_STEP} and more"
        )
    return replace(config, input_hw=(height, width))
