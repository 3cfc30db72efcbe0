"""One training picture in the making, and the sample that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "Patch", "Sample"]

MIN_VISIBLE_SHARE = 0.25
MIN_AREA_PX = 24
"""Of the input: smaller objects cannot be told at this size and are ignored, not missed."""


@dataclass(slots=True, eq=False)
class Patch:
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
    segments: NDArray[np.uint8]
    """(n, mh/2, mw/2) the same of cells twice as large."""
    centres: NDArray[np.float32]
    """(n, 2) mean x and y of the object's pixels, in pixels of the input."""
    ignored: NDArray[np.float32]
    """(m, 4) x1 y1 x2 y2, relative."""
    counted: NDArray[np.bool_]
    """(C,) classes whose absence from the annotations means absence from the picture."""
    name: str = ""
    """Of the file that the picture is mostly made of."""


@dataclass(slots=True, eq=False)
class Canvas:
    """A picture, (H, W, 3) uint8 BGR, and its regions from the farthest to the nearest."""

    image: NDArray[np.uint8]
    counted: NDArray[np.bool_]
    regions: list[Patch] = field(default_factory=list)
    name: str = ""

    def paste(self, colours: NDArray[np.uint8], alpha: NDArray[np.uint8], region: Patch) -> None:
        """Lay an object over everything: `colours` (H, W, 3) where `alpha` (H, W) uint8 says so."""
        weight = alpha[..., None].astype(np.uint16)
        mixed = (colours * weight + self.image * (255 - weight) + 127) // 255
        self.image = mixed.astype(np.uint8)
        for other in self.regions:
            other.mask[alpha >= 128] = 0
        self.regions.append(region)

    def sample(self, mask_hw: tuple[int, int], *, interpolation: int = cv2.INTER_AREA) -> Sample:
        """The finished sample; regions too small, or hidden too much, become ignored ones.

        `interpolation`, cv2's, brings masks to `mask_hw`: by area, or INTER_LINEAR as the originals did.
        """
        h, w = self.image.shape[:2]
        kept: list[Patch] = []
        boxes, ignored = [], []
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
                kept.append(region)

        def resized(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
            masks = [cv2.resize(r.mask, size_hw[::-1], interpolation=interpolation) for r in kept]
            return np.array(masks, np.uint8).reshape(-1, *size_hw)

        return Sample(
            image=self.image,
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            classes=np.array([region.class_id for region in kept], np.int64),
            masks=resized(mask_hw),
            segments=resized((mask_hw[0] // 2, mask_hw[1] // 2)),
            centres=np.array([centre(region.mask) for region in kept], np.float32).reshape(-1, 2),
            ignored=np.array(ignored, np.float32).reshape(-1, 4),
            counted=self.counted,
            name=self.name,
        )


def centre(mask: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean x and y of the pixels of a mask that is not empty; the first pixel is at 0."""
    moments = cv2.moments(mask, binaryImage=True)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
