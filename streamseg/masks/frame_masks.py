"""Masks on demand: regions, RLE, areas and polygons, of one instance or of all of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.masks.regions import Region, polygons_from_region, region_from_runs
from streamseg.masks.rle import Rle, rles_from_runs
from streamseg.masks.runs import Runs, area_from_runs, runs_of
from streamseg.masks.soft import Masks

__all__ = ["FrameMasks", "area", "full_frame", "polygons", "region", "rle"]

Boxes = NDArray[np.float32]


def region(masks: Masks, xyxy: Boxes, k: int) -> Region:
    """The pixels of instance `k`, also those that interpolation spills over its box.

    `xyxy` are the (N, 4) boxes of the same Instances in frame pixels. Probabilities on a grid over the input
    are zero outside their box, so only cells under it and a few around are looked at: whatever lay further
    away would be cut off. Logits are looked at everywhere.
    """
    return region_from_runs(runs_of(masks, xyxy, k))


def full_frame(masks: Masks, xyxy: Boxes, k: int) -> NDArray[np.bool_]:
    """(H, W) bool, the pixels of instance `k`."""
    (x0, y0), bits = region(masks, xyxy, k)
    frame = np.zeros(masks.frame_hw, np.bool_)
    frame[y0 : y0 + bits.shape[0], x0 : x0 + bits.shape[1]] = bits
    return frame


def area(masks: Masks, xyxy: Boxes, k: int) -> int:
    """The number of pixels of instance `k`."""
    return area_from_runs(runs_of(masks, xyxy, k))


def polygons(masks: Masks, xyxy: Boxes, k: int, tolerance_px: float = 1.0) -> list[NDArray[np.float32]]:
    """The outline of instance `k`, as `polygons_from_region` gives it."""
    return polygons_from_region(region(masks, xyxy, k), tolerance_px)


def rle(masks: Masks, xyxy: Boxes, k: int) -> Rle:
    """The pixels of instance `k` as COCO RLE, made from its cells without a picture."""
    return rles_from_runs([runs_of(masks, xyxy, k)], masks.frame_hw)[0]


class FrameMasks:
    """The masks of one frame, each interpolated once however many ask: overlay, RLE, area.

    Made when first asked for. Threads may ask at the same time; what two ask for first is then made twice.
    """

    def __init__(self, masks: Masks, xyxy: Boxes, runs: Sequence[Runs] | None = None) -> None:
        """`xyxy` (N, 4) are the boxes of the masks in frame pixels, clipped to the frame; `runs` are N masks
        that are known by their pixels alone."""
        self._masks = masks
        self._xyxy = xyxy
        self._given = runs

    def __len__(self) -> int:
        return len(self._masks)

    def __reduce__(self) -> tuple[Any, ...]:
        return FrameMasks, (self._masks, self._xyxy, self._given)  # what was made can be made again

    @cached_property
    def runs(self) -> list[Runs]:
        """Column runs per instance, of which everything else is made."""
        if self._given is not None:
            return list(self._given)
        return [runs_of(self._masks, self._xyxy, k) for k in range(len(self))]

    @cached_property
    def regions(self) -> list[Region]:
        """One region per instance, in the order of the instances; read, do not write."""
        return [region_from_runs(runs) for runs in self.runs]

    @cached_property
    def rles(self) -> list[Rle]:
        """One COCO RLE per instance; needs no pixels, so it is cheap also without `regions`."""
        return rles_from_runs(self.runs, self._masks.frame_hw)

    @cached_property
    def areas(self) -> list[int]:
        """Pixels per instance."""
        return [area_from_runs(runs) for runs in self.runs]
