"""What a YOLACT is made of, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["IMAGENET_MEAN_RGB", "IMAGENET_STD_RGB", "YolactConfig"]

IMAGENET_MEAN_RGB = (123.68, 116.78, 103.94)
IMAGENET_STD_RGB = (58.40, 57.12, 57.38)


@dataclass(frozen=True, slots=True)
class YolactConfig:
    """One network; `streamseg.models.catalog.CONFIGS` holds those that have a name."""

    name: str
    classes: tuple[str, ...]
    """Foreground classes; the confidence head has one more, the background, in column 0."""
    input_hw: tuple[int, int]
    """Height and width of the input, pixels."""
    block: Literal["bottleneck", "basic"]
    stem: Literal["conv7_pool", "conv3"]
    """7×7/2 with max-pooling (first stage at stride 1), or 3×3/2 (first stage at stride 2)."""
    stem_width: int
    stage_widths: tuple[int, int, int, int]
    """Output channels of the four stages; the last three, at strides 8, 16, 32, feed the FPN."""
    stage_blocks: tuple[int, int, int, int]
    fpn_width: int
    fpn_extra_levels: int
    """Levels beyond stride 32, each made from the one before by a 3×3/2 convolution."""
    proto_widths: tuple[int, ...]
    """Output channels of ProtoNet's 3×3 convolutions at stride 8; the map is doubled after them."""
    proto_up_width: int
    """Output channels of ProtoNet's 3×3 convolution at stride 4."""
    head_width: int
    mask_dim: int
    norm: bool
    """Batch normalisation in FPN and ProtoNet; upstream has none, training from scratch needs it."""
    anchor_scales: tuple[float, ...]
    """Side of the square anchor of each level, in pixels of the input."""
    anchor_aspects: tuple[float, ...] = (1.0, 0.5, 2.0)
    """Width / height, in the order of the channels."""
    square_anchors: bool = False
    """True reproduces YOLACT v1.0, whose anchors take their width as their height."""
    mean_rgb: tuple[float, float, float] = IMAGENET_MEAN_RGB
    std_rgb: tuple[float, float, float] = IMAGENET_STD_RGB
    """Normalisation in 0…255: (rgb − mean) / std."""
