"""What a YOLACT is made of, as data: dbolya's networks and mmdetection's differ in these values only.

Tested in tests/models/yolact/test_yolact_variants.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

__all__ = ["DBOLYA", "IMAGENET_MEAN_RGB", "IMAGENET_STD_RGB", "MMDETECTION", "Selection", "YolactConfig"]

IMAGENET_MEAN_RGB = (123.68, 116.78, 103.94)
IMAGENET_STD_RGB = (58.40, 57.12, 57.38)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which boxes of a trained network count: the two implementations decode and choose differently."""

    prior_score: float
    """A prior takes part when its best class exceeds this."""
    kept_score: float
    """A class of a prior is kept, after suppression, when it exceeds this."""
    per_level: int | None
    """Priors of a pyramid level that take part, those of the best classes; None: all."""
    size_limit: float | None
    """Largest |ln| by which a box may differ from its prior in width and height; None: any."""
    clip: bool
    """Boxes are cut at the border of the image, before they are compared."""


DBOLYA = Selection(prior_score=0.05, kept_score=0.0, per_level=None, size_limit=None, clip=False)
MMDETECTION = Selection(
    prior_score=0.0, kept_score=0.05, per_level=1000, size_limit=log(1000 / 16), clip=True
)


@dataclass(frozen=True, slots=True)
class YolactConfig:
    """One network; `streamseg.models.yolact.catalog.CONFIGS` holds those that have a name."""

    name: str
    classes: tuple[str, ...]
    """Foreground classes; the confidence head has one more, the background, in column 0."""
    input_hw: tuple[int, int]
    """Height and width of the input, pixels."""
    block: Literal["bottleneck", "basic", "darknet", "efficientnet_lite0"]
    """Of residual stages; the last two name a whole backbone, and `efficientnet_lite0` has its own stem and
    stages: of the next four values it heeds none but the widths that feed the FPN."""
    stem: Literal["conv7_pool", "conv3", "conv3_full"]
    """7×7/2 with max-pooling (first stage at stride 1), 3×3/2 or 3×3/1 (all stages at stride 2)."""
    stem_width: int
    stage_widths: tuple[int, ...]
    """Output channels of the stages; the last three, at strides 8, 16, 32, feed the FPN."""
    stage_blocks: tuple[int, ...]
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
    anchor_octaves: tuple[float, ...] = (1.0,)
    """Factors of a level's scale, each with every aspect."""
    deform_interval: int = 0
    """Every so many blocks of the last three stages, from the first on, sample where they choose to
    (DCNv2); 0: none."""
    extra_from_c5: bool = False
    """The first extra FPN level is made from the backbone's last stage instead of the level before it."""
    fpn_relu: bool = True
    """Levels with a lateral end in a ReLU."""
    mask_rescoring: bool = False
    """YOLACT++: a small network judges each mask, and its verdict multiplies the score."""
    selection: Selection = DBOLYA
    mean_rgb: tuple[float, float, float] = IMAGENET_MEAN_RGB
    std_rgb: tuple[float, float, float] = IMAGENET_STD_RGB
    """Normalisation in 0…255: (rgb − mean) / std."""
