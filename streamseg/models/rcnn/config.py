"""What a Mask R-CNN is made of, as data, and those networks that have a name.

Tested in tests/models/rcnn/test_network.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamseg.errors import ConfigError
from streamseg.models.coco_classes import COCO_CLASSES

__all__ = ["RCNN_CONFIGS", "RcnnConfig", "RcnnNumerics", "rcnn_resized"]

MULTIPLE = 32
COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""Numbers up to 90 that COCO gave to no class; torchvision's layers have a part for each."""


@dataclass(frozen=True, slots=True)
class RcnnNumerics:
    """What the projects compute differently with the same layers."""

    aligned: bool
    """RoIAlign: whether a box is moved by half a cell, as the centres of cells are."""
    samples: int
    """RoIAlign: samples along a side of a bin; 0: as many as it has cells."""
    whole_anchors: bool
    """Anchors rounded to whole pixels, and as far apart as the input's size and the level's say (whole,
    too). Otherwise as they are, a stride apart."""
    mask_paste: str
    """As in the engine contract."""


TORCHVISION = RcnnNumerics(aligned=False, samples=2, whole_anchors=True, mask_paste="torchvision")
CONTINUOUS = RcnnNumerics(aligned=True, samples=0, whole_anchors=False, mask_paste="continuous")
"""Of mmdetection and detectron2."""


@dataclass(frozen=True, slots=True)
class RcnnConfig:
    """One network; `RCNN_CONFIGS` holds those that have a name."""

    name: str
    classes: tuple[str, ...]
    """Foreground classes."""
    numerics: RcnnNumerics
    channels: tuple[int, ...] | None = None
    """Of each class, its place in the layers that tell classes; 0 is the background. None: 1, 2, …"""
    stage_blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    stride_in_1x1: bool = False
    """Where a bottleneck halves its map: in its first convolution, as its authors did, or in the second."""
    norm_eps: float = 1e-5
    normed_heads: bool = False
    """Pyramid and heads with normalisation, four convolutions before the box head's layer, two in the RPN:
    torchvision's second version."""
    width: int = 256
    """Channels of the pyramid and the convolutions behind it."""
    head_width: int = 1024
    proposals: int = 1000
    """Of a level before NMS, and of all levels together behind it."""
    input_hw: tuple[int, int] = (800, 1344)
    """Height and width of the input, pixels, multiples of 32. The picture keeps its aspect in it."""
    mean_rgb: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std_rgb: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Normalisation in 0…255: (rgb − mean) / std."""

    @property
    def class_channels(self) -> tuple[int, ...]:
        """Of each class, its place in the layers that tell classes."""
        return self.channels or tuple(range(1, len(self.classes) + 1))


COCO_CHANNELS = tuple(number for number in range(1, 91) if number not in COCO_GAPS)

RCNN_CONFIGS = {
    config.name: config
    for config in (
        # Its published weights count their normalisations' variances as they are.
        RcnnConfig("maskrcnn_resnet50_fpn", COCO_CLASSES, TORCHVISION, COCO_CHANNELS, norm_eps=0.0),
        RcnnConfig("maskrcnn_resnet50_fpn_v2", COCO_CLASSES, TORCHVISION, COCO_CHANNELS, normed_heads=True),
        RcnnConfig("mmdet_mask_rcnn_r50", COCO_CLASSES, CONTINUOUS),
        RcnnConfig("mmdet_mask_rcnn_r101", COCO_CLASSES, CONTINUOUS, stage_blocks=(3, 4, 23, 3)),
        RcnnConfig(
            "detectron2_mask_rcnn_r50",
            COCO_CLASSES,
            CONTINUOUS,
            stride_in_1x1=True,
            std_rgb=(1.0, 1.0, 1.0),
        ),
    )
}


def rcnn_resized(config: RcnnConfig, input_hw: Sequence[int]) -> RcnnConfig:
    """`config` for another input size. Raises ConfigError."""
    height, width = input_hw
    if min(height, width) < 2 * MULTIPLE or height % MULTIPLE or width % MULTIPLE:
        raise ConfigError(
            f"input size {height}x{width}: {config.name} takes multiples of {MULTIPLE},"
            f" {2 * MULTIPLE} and more"
        )
    return replace(config, input_hw=(height, width))
