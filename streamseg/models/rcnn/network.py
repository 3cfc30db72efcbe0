"""Mask R-CNN: He et al., "Mask R-CNN" (2017), on a feature pyramid.

The layers are torchvision's, under torchvision's names; what is done between them is in `tail.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead, concat_box_prediction_layers
from torchvision.models.resnet import Bottleneck, ResNet

from streamseg.models.rcnn.config import RcnnConfig

__all__ = ["ANCHOR_RATIOS", "BOX_BINS", "MaskRcnn", "RcnnHeads"]

ANCHOR_RATIOS = (0.5, 1.0, 2.0)
"""Height to width of the anchors of a place."""
BOX_BINS = 7
"""Bins along a side of what the box head sees of a proposal."""
STAGES = (256, 512, 1024, 2048)


class RcnnHeads(NamedTuple):
    """What the tail takes."""

    objectness: Tensor
    """(B, A) logits of all anchors: levels of strides 4 to 64, rows, columns, ratios."""
    deltas: Tensor
    """(B, A, 4) from an anchor to its proposal."""
    extent: Tensor
    """(B, 2) float32: width and height of the picture within the input, pixels."""
    p2: Tensor
    """(B, width, h/4, w/4)."""
    p3: Tensor
    p4: Tensor
    p5: Tensor
    """(B, width, h/32, w/32)."""


class MaskRcnn(nn.Module):
    """The network of an `RcnnConfig`, for inputs whose sides are multiples of 32."""

    def __init__(self, config: RcnnConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = _backbone(config)
        width, most = config.width, max(config.class_channels) + 1
        norm = nn.BatchNorm2d if config.normed_heads else None
        rpn = RPNHead(width, len(ANCHOR_RATIOS), conv_depth=2 if config.normed_heads else 1)
        box_head: nn.Module
        if config.normed_heads:
            box_head = FastRCNNConvFCHead((width, BOX_BINS, BOX_BINS), [width] * 4, [config.head_width], norm)
        else:
            box_head = TwoMLPHead(width * BOX_BINS**2, config.head_width)
        self.rpn = nn.ModuleDict({"head": rpn})
        self.roi_heads = nn.ModuleDict(
            {
                "box_head": box_head,
                "box_predictor": FastRCNNPredictor(config.head_width, most),
                "mask_head": MaskRCNNHeads(width, [width] * 4, 1, norm),
                "mask_predictor": MaskRCNNPredictor(width, width, most),
            }
        )

    def forward(self, x: Tensor) -> RcnnHeads:
        """Pyramid and proposals' raw heads of images (B, 3, h, w) float32, RGB, normalised by the config's
        mean and std, zero beside the picture."""
        levels = list(self.backbone(x).values())
        objectness, deltas = concat_box_prediction_layers(*self.rpn["head"](levels))
        batch = x.shape[0]
        return RcnnHeads(
            objectness.reshape(batch, -1), deltas.reshape(batch, -1, 4), picture_extent(x), *levels[:4]
        )


def picture_extent(x: Tensor) -> Tensor:
    """(B, 2): columns and rows of images (B, 3, h, w) that are not zero, as no whole level is within a
    picture once the mean is taken from it."""
    seen = x.abs().amax(1)
    return torch.stack([(seen.amax(axis) > 0).sum(1).float() for axis in (1, 2)], 1)


def _backbone(config: RcnnConfig) -> BackboneWithFPN:
    body = ResNet(Bottleneck, list(config.stage_blocks))
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = config.norm_eps
        elif isinstance(module, Bottleneck) and config.stride_in_1x1:
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
    returned = {f"layer{i + 1}": str(i) for i in range(4)}
    norm = nn.BatchNorm2d if config.normed_heads else None
    return BackboneWithFPN(body, returned, list(STAGES), config.width, norm_layer=norm)
