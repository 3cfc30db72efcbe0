"""The instances of a frame as a tracker wants them: sound, in an order of their own, masks at hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.masks import THRESHOLD, Crop, crop_iou
from streamseg.structures import Instances, Masks
from streamseg.tracking import motion

__all__ = ["Detections", "Outline", "detections_from_instances", "outline_iou"]

MIN_MASK_CELLS = 32
"""Smaller masks are not compared. On a 138 x 138 grid, masks under 31 cells (500 pixels of 640 x 480)
misjudge their IoU by up to 0.35, which is more than the differences to be told apart."""
_MARGIN = 1


class Outline:
    """One instance's part of the soft grid, copied; made into a crop when it is first compared.

    Few are: only those of tracks and detections that compete with others.
    """

    __slots__ = ("_crop", "_soft", "_x0", "_y0")

    def __init__(self, soft: NDArray[np.uint8], x0: int, y0: int) -> None:
        self._soft, self._x0, self._y0 = soft, x0, y0
        self._crop: Crop | None = None

    @property
    def crop(self) -> Crop:
        """The cells set, in the window around the box."""
        if self._crop is None:
            self._crop = Crop(self._x0, self._y0, self._soft >= THRESHOLD)
        return self._crop


def outline_iou(a: Outline | None, b: Outline | None, shift_xy: tuple[float, float]) -> float:
    """IoU of `a`, moved by `shift_xy` cells, with `b`; NaN when one is too small to tell."""
    if a is None or b is None or a.crop.area < MIN_MASK_CELLS or b.crop.area < MIN_MASK_CELLS:
        return float("nan")
    return crop_iou(a.crop, b.crop, shift_xy)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The M usable instances of a frame, ordered by what they are and not by where they stood."""

    index: NDArray[np.intp]
    """(M,) rows in the Instances."""
    xyxy: NDArray[np.float64]
    """(M, 4) pixels."""
    measured: NDArray[np.float64]
    """(M, 4) cx, cy, w, h, pixels."""
    score: NDArray[np.float32]
    class_id: NDArray[np.int32]
    outlines: list[Outline | None]
    """None where the box is too small to hold a mask worth comparing."""


def detections_from_instances(instances: Instances, low_score: float) -> tuple[Detections, int]:
    """Detections scored `low_score` or more, and how many instances were refused as unsound.

    Unsound is a box or score that is not finite, and a box without area. The order is by falling score,
    then centre, class and size; the index decides between instances equal in all of these.
    """
    measured = motion.measure(instances.xyxy)
    sound = np.isfinite(measured).all(1) & (measured[:, 2:] > 0).all(1) & np.isfinite(instances.score)
    usable = np.flatnonzero(sound & (instances.score >= low_score))
    cx, cy, w, h = measured[usable].T
    order = usable[np.lexsort((h, w, instances.class_id[usable], cy, cx, -instances.score[usable]))]
    xyxy = instances.xyxy[order].astype(np.float64)
    found = Detections(
        order,
        xyxy,
        measured[order],
        instances.score[order],
        instances.class_id[order],
        _outlines(instances.masks, xyxy, order),
    )
    return found, len(instances) - int(np.count_nonzero(sound))


def _outlines(masks: Masks, xyxy: NDArray[np.float64], index: NDArray[np.intp]) -> list[Outline | None]:
    """One per box: the cells it touches and a margin, as networks crop masks a cell outside the box."""
    height, width = masks.soft.shape[1:]
    cells = xyxy / (*masks.scale_xy, *masks.scale_xy)
    low = np.maximum(np.floor(cells[:, :2]) - _MARGIN, 0).astype(np.intp).tolist()
    high = np.clip(np.ceil(cells[:, 2:]) + _MARGIN, 0, (width, height)).astype(np.intp).tolist()
    soft = masks.soft
    return [
        Outline(soft[k, y0:y1, x0:x1].copy(), x0, y0) if (x1 - x0) * (y1 - y0) >= MIN_MASK_CELLS else None
        for k, (x0, y0), (x1, y1) in zip(index.tolist(), low, high, strict=True)
    ]
