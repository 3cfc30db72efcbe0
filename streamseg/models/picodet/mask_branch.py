"""Masks on a detector's features: prototypes for the picture, coefficients and a coarse shape for an object.

A mask's logit at a place is a sum of prototypes there (YOLACT) and of a small grid stretched over the
object's box. The grid says which part of the box is the object at all, which prototypes of a whole picture
can hardly say of one of several that stand together, nor of a small one; they say where its outline runs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from streamseg.models.picodet.backbone import BACKBONE_WIDTHS
from streamseg.models.picodet.config import STRIDES, PicoDetConfig
from streamseg.models.picodet.neck import NECK_WIDTH

__all__ = ["Coefficients", "Prototypes", "mask_logits"]

BOX_FEATURES = 2
LOOKS = 5
"""Rows and columns of the points of a box at which its coefficients are sought."""


def conv_relu(width_in: int, width: int) -> nn.Sequential:
    conv = nn.Conv2d(width_in, width, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())


class Prototypes(nn.Module):
    """Levels of the neck and the backbone's finest map → prototypes (B, D, h/4, w/4), and what they are made
    of, (B, S, h/8, w/8), for `Coefficients` to look at."""

    def __init__(self, config: PicoDetConfig) -> None:
        super().__init__()
        width = config.proto_width
        self.laterals = nn.ModuleList(nn.Conv2d(NECK_WIDTH, width, 1) for _ in STRIDES[:3])
        self.coarse = nn.Sequential(conv_relu(width, width), conv_relu(width, width))
        self.fine_lateral = nn.Conv2d(BACKBONE_WIDTHS[0], width, 1)
        self.fine = conv_relu(width, width)
        self.out = nn.Conv2d(width, config.mask_dim, 1)
        self.scenery = nn.Conv2d(width, config.scenery, 1)

    def forward(self, levels: list[Tensor], stride4: Tensor) -> tuple[Tensor, Tensor]:
        summed = self.laterals[0](levels[0])
        for lateral, level in zip(self.laterals[1:], levels[1:3], strict=True):
            summed = summed + upsampled(lateral(level), levels[0])
        coarse = self.coarse(relu(summed))
        fine = relu(upsampled(coarse, stride4) + self.fine_lateral(stride4))
        return self.out(self.fine(fine)), self.scenery(coarse)


class Coefficients(nn.Module):
    """What is seen at chosen locations and in their boxes → factors of the prototypes and the coarse shape.

    Called on the few locations that become instances, so its width costs nothing.
    """

    def __init__(self, config: PicoDetConfig) -> None:
        super().__init__()
        self.mask_dim, self.grid = config.mask_dim, config.shape_grid
        hidden = config.hidden
        self.place = nn.Linear(2 * NECK_WIDTH, hidden * len(STRIDES))
        """Of a location: each level has a part of its own."""
        self.extent = nn.Linear(BOX_FEATURES, hidden)
        self.look = nn.Linear(config.scenery * LOOKS**2, hidden)
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, self.mask_dim + self.grid**2),
        )

    def forward(self, seen: Tensor, stride: Tensor, boxes: Tensor, scenery: Tensor) -> tuple[Tensor, Tensor]:
        """`seen` (B, N, 192) and `stride` (B, N) of locations, their boxes (B, N, 4) x1 y1 x2 y2, relative,
        and the `scenery` (B, S, h/8, w/8) → (B, N, D) and (B, N, R, R), rows first."""
        strides = torch.tensor(STRIDES, device=stride.device, dtype=stride.dtype)
        level = (stride.unsqueeze(-1) == strides).to(seen.dtype)
        places = self.place(seen).view(*stride.shape, len(STRIDES), -1)
        place = (places * level.unsqueeze(-1)).sum(-2)
        sizes = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
        x = place + self.extent(sizes.log() / 2 + 1) + self.look(looks(scenery, boxes))
        factors, grid = self.layers(x).split((self.mask_dim, self.grid**2), -1)
        return factors, grid.reshape(*stride.shape, self.grid, self.grid)


def looks(scenery: Tensor, boxes: Tensor) -> Tensor:
    """The map (B, S, h, w) at a grid of points in each of the boxes (B, N, 4), relative → (B, N, points · S);
    beyond the border of the picture what is at it."""
    height, width = scenery.shape[2:]
    share = (torch.arange(LOOKS, device=boxes.device, dtype=boxes.dtype) + 0.5) / LOOKS
    x1, y1, x2, y2 = (side.unsqueeze(-1) for side in boxes.unbind(-1))
    column = ((x1 + (x2 - x1) * share) * width).clamp(0, width - 1).to(torch.int64)
    row = ((y1 + (y2 - y1) * share) * height).clamp(0, height - 1).to(torch.int64)
    cell = (row.unsqueeze(-1) * width + column.unsqueeze(-2)).flatten(1)
    values = scenery.flatten(2).transpose(1, 2)
    values = values.gather(1, cell.unsqueeze(-1).expand(-1, -1, values.shape[2]))
    return values.reshape(*boxes.shape[:2], -1)


def upsampled(x: Tensor, like: Tensor) -> Tensor:
    return interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


def mask_logits(factors: Tensor, grid: Tensor, proto: Tensor, boxes: Tensor) -> Tensor:
    """Of N objects of each of B pictures: factors (B, N, D), grid (B, N, R, R), prototypes (B, D, mh, mw) and
    boxes (B, N, 4) x1 y1 x2 y2, relative → (B, N, mh, mw)."""
    mh, mw = proto.shape[2:]
    drawn = (factors @ proto.flatten(2)).view(*factors.shape[:2], mh, mw)
    x1, y1, x2, y2 = boxes.unbind(-1)
    rows = hats(y1, y2, mh, grid.shape[-2])
    columns = hats(x1, x2, mw, grid.shape[-1])
    return drawn + rows @ (grid @ columns.transpose(-1, -2))


def hats(low: Tensor, high: Tensor, cells: int, knots: int) -> Tensor:
    """Weights of linear interpolation between `knots` in the middle of equal parts of low…high (…), relative,
    for each of the `cells` of the whole → (…, cells, knots). Beyond the outermost knots their value stays."""
    centre = (torch.arange(cells, device=low.device, dtype=low.dtype) + 0.5) / cells
    share = (centre - low.unsqueeze(-1)) / (high - low).clamp(min=1e-4).unsqueeze(-1)
    place = (share * knots - 0.5).clamp(0, knots - 1).unsqueeze(-1)
    return relu(1 - (place - torch.arange(knots, device=low.device, dtype=low.dtype)).abs())
