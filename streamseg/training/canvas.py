"""One training picture in the making, and the sample that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "Region", "Sample"]

MIN_VISIBLE_SHARE = 0.25
MIN_AREA_PX = 24
"""Of the input: smaller objects cannot be told at this size and are ignored, not missed."""


@dataclass(slots=True, eq=False)
class Region:
    """An object on a canvas: what is visible of it, and how much there was."""

    class_id: int
    ignore: bool
    mask: NDArray[np.uint8]
    """(H, W) uint8, 0 or 255."""
    whole_area: float
    """Pixels of the canvas it would cover, were nothing cut off or hidden."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What the losses need of one picture. n objects, m ignored regions."""

    image: NDArray[np.uint8]
    """(h, w, 3) uint8 BGR at the input size."""
    boxes: NDArray[np.float32]
    """(n, 4) x1 y1 x2 y2, relative."""
    classes: NDArray[np.int64]
    """(n,) 0-based foreground class."""
    masks: NDArray[np.uint8]
    """(n, mh, mw) share of each cell that the object covers, × 255."""
    ignored: NDArray[np.float32]
    """(m, 4) x1 y1 x2 y2, relative."""
    counted: NDArray[np.bool_]
    """(C,) classes whose absence from the annotations means absence from the picture."""


@dataclass(slots=True, eq=False)
class Canvas:
    """A picture, (H, W, 3) uint8 BGR, and its regions from the farthest to the nearest."""

    image: NDArray[np.uint8]
    counted: NDArray[np.bool_]
    regions: list[Region] = field(default_factory=list)

    def paste(self, colours: NDArray[np.uint8], alpha: NDArray[np.uint8], region: Region) -> None:
        """Lay an object over everything: `colours` (H, W, 3) where `alpha` (H, W) uint8 says so."""
        weight = alpha[..., None].astype(np.uint16)
        mixed = (colours * weight + self.image * (255 - weight) + 127) // 255
        self.image = mixed.astype(np.uint8)
        for other in self.regions:
            other.mask[alpha >= 128] = 0
        self.regions.append(region)

    def sample(self, mask_hw: tuple[int, int]) -> Sample:
        """The finished sample; regions too small, or hidden too much, become ignored ones."""
        h, w = self.image.shape[:2]
        boxes, classes, masks, ignored = [], [], [], []
        for region in self.regions:
            x, y, bw, bh = cv2.boundingRect(region.mask)
            if not bw:
                continue
            box = x / w, y / h, (x + bw) / w, (y + bh) / h
            area = cv2.countNonZero(region.mask)
            if region.ignore or area < max(MIN_AREA_PX, MIN_VISIBLE_SHARE * region.whole_area):
                ignored.append(box)
            else:
                boxes.append(box)
                classes.append(region.class_id)
                masks.append(cv2.resize(region.mask, mask_hw[::-1], interpolation=cv2.INTER_AREA))
        return Sample(
            self.image,
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(classes, np.int64),
            np.array(masks, np.uint8).reshape(-1, *mask_hw),
            np.array(ignored, np.float32).reshape(-1, 4),
            self.counted,
        )
