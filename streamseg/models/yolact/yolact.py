"""YOLACT: prototypes for the whole image, a box, classes and mask coefficients per anchor.

Bolya et al., "YOLACT: Real-time Instance Segmentation" (ICCV 2019) and "YOLACT++" (2020). Attribute
names and arithmetic follow dbolya/yolact; mmdetection's YOLACT is the same code under other values of
`YolactConfig`, its weights renamed by `streamseg.models.weights.layouts`.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from streamseg.models.backbones.resnet import make_backbone
from streamseg.models.yolact.config import YolactConfig
from streamseg.models.yolact.maskiou import MaskIouNet
from streamseg.models.yolact.priors import make_priors

__all__ = ["RawHeads", "Yolact"]


class RawHeads(NamedTuple):
    """What the network says before any decoding. P anchors, C foreground classes, D prototypes."""

    loc: Tensor
    """(B, P, 4) offsets of the box from its prior, in units of the variances 0.1 and 0.2."""
    conf: Tensor
    """(B, P, 1 + C) class logits, background first."""
    coeff: Tensor
    """(B, P, D) mask coefficients after tanh."""
    proto: Tensor
    """(B, mh, mw, D) prototypes after ReLU."""


def conv3x3(width_in: int, width: int, norm: bool, stride: int = 1) -> nn.Module:
    """A 3×3 convolution, with batch normalisation in place of its bias if `norm`."""
    conv = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=not norm)
    return nn.Sequential(conv, nn.BatchNorm2d(width)) if norm else conv


class Double(nn.Module):
    """Bilinear upsampling by two (align_corners False)."""

    def forward(self, x: Tensor) -> Tensor:
        size = (2 * x.shape[2], 2 * x.shape[3])
        return interpolate(x, size=size, mode="bilinear", align_corners=False)


class Fpn(nn.Module):
    """Feature pyramid. Both lists run from the coarsest level to the finest, as upstream stores them."""

    def __init__(self, widths: tuple[int, ...], config: YolactConfig) -> None:
        super().__init__()
        width = config.fpn_width
        self.lat_layers = nn.ModuleList(nn.Conv2d(w, width, 1) for w in reversed(widths))
        self.pred_layers = nn.ModuleList(conv3x3(width, width, config.norm) for _ in widths)
        self.extra_from_c5, self.relu = config.extra_from_c5, config.fpn_relu
        first = widths[-1] if config.extra_from_c5 else width
        self.downsample_layers = nn.ModuleList(
            conv3x3(width if i else first, width, False, stride=2) for i in range(config.fpn_extra_levels)
        )

    def forward(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        """Levels from the finest to the coarsest; ReLU, if any, on those with a lateral alone."""
        levels: list[Tensor] = []
        top: Tensor | None = None
        for lateral, predict, x in zip(self.lat_layers, self.pred_layers, reversed(maps), strict=True):
            y = cast(Tensor, lateral(x))
            if top is not None:
                # To the next level's own size: 18 → 35 is not a doubling.
                y = y + interpolate(top, size=x.shape[2:], mode="bilinear", align_corners=False)
            top = y
            levels.insert(0, torch.relu(predict(y)) if self.relu else predict(y))
        top = maps[-1] if self.extra_from_c5 else levels[-1]
        for downsample in self.downsample_layers:
            top = cast(Tensor, downsample(top))
            levels.append(top)
        return levels


def make_proto_net(config: YolactConfig) -> nn.Sequential:
    """Prototypes from the finest level; indices of the layers as upstream has them."""
    layers: list[nn.Module] = []
    width_in = config.fpn_width
    for width in config.proto_widths:
        layers += [conv3x3(width_in, width, config.norm), nn.ReLU()]
        width_in = width
    layers += [Double(), nn.ReLU(), conv3x3(width_in, config.proto_up_width, config.norm), nn.ReLU()]
    layers += [nn.Conv2d(config.proto_up_width, config.mask_dim, 1)]
    return nn.Sequential(*layers)


class PredictionHead(nn.Module):
    """One head for all levels: box offsets, class logits, mask coefficients of every anchor."""

    def __init__(self, config: YolactConfig) -> None:
        super().__init__()
        anchors = len(config.anchor_octaves) * len(config.anchor_aspects)
        width = config.head_width
        self.sizes = (4, 1 + len(config.classes), config.mask_dim)
        self.upfeature = nn.Sequential(nn.Conv2d(config.fpn_width, width, 3, padding=1), nn.ReLU())
        self.bbox_layer = nn.Conv2d(width, anchors * self.sizes[0], 3, padding=1)
        self.conf_layer = nn.Conv2d(width, anchors * self.sizes[1], 3, padding=1)
        self.mask_layer = nn.Conv2d(width, anchors * self.sizes[2], 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, h·w·anchors, k) for k = 4, 1 + C, D."""
        x = self.upfeature(x)
        maps = (self.bbox_layer(x), self.conf_layer(x), torch.tanh(self.mask_layer(x)))
        loc, conf, coeff = (
            m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, size)
            for m, size in zip(maps, self.sizes, strict=True)
        )
        return loc, conf, coeff


class Yolact(nn.Module):
    """The network of a `YolactConfig`, for inputs of exactly `config.input_hw`."""

    priors: Tensor
    """(P, 4) float32: cx, cy, w, h relative to the input; not in the state_dict."""

    def __init__(self, config: YolactConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = make_backbone(config)
        self.fpn = Fpn(config.stage_widths[-3:], config)
        self.proto_net = make_proto_net(config)
        self.prediction_layers = nn.ModuleList([PredictionHead(config)])
        self.semantic_seg_conv = nn.Conv2d(config.fpn_width, len(config.classes), 1)
        self.maskiou_net = MaskIouNet(len(config.classes)) if config.mask_rescoring else None
        """Not called here: it looks at finished masks, in the tail."""
        self.register_buffer("priors", make_priors(config), persistent=False)

    def forward(self, x: Tensor) -> RawHeads:
        """Raw heads of images (B, 3, h, w) float32, RGB, normalised by the config's mean and std."""
        return self._heads(self.fpn(self.backbone(x)))

    def forward_with_segmentation(self, x: Tensor) -> tuple[RawHeads, Tensor]:
        """The same and (B, C, h/8, w/8) logits of the classes per cell, an auxiliary output for training."""
        levels = self.fpn(self.backbone(x))
        return self._heads(levels), self.semantic_seg_conv(levels[0])

    def _heads(self, levels: list[Tensor]) -> RawHeads:
        proto = torch.relu(self.proto_net(levels[0])).permute(0, 2, 3, 1)
        rows = [self.prediction_layers[0](level) for level in levels]
        loc, conf, coeff = (torch.cat(parts, dim=1) for parts in zip(*rows, strict=True))
        return RawHeads(loc, conf, coeff, proto)
