"""The instances of a frame as a tracker wants them: sound, in an order of their own, masks at hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.masks import (
    THRESHOLD,
    BoxGrids,
    Crop,
    Masks,
    compared_scale,
    crop_iou,
    shared_cells,
    tight_crops,
)
from streamseg.structures import Instances
from streamseg.tracking import motion

__all__ = [
    "Detections",
    "KeptOutline",
    "Outline",
    "detections_from_instances",
    "outline_iou",
    "outline_share",
]

MIN_MASK_CELLS = 32
"""Smaller masks are not compared. On a 138 x 138 grid, masks under 31 cells (500 pixels of 640 x 480)
misjudge their IoU by up to 0.35, which is more than the differences to be told apart."""
_MARGIN = 1


class Outline(ABC):
    """One instance's mask, copied; made into a crop when it is first compared.

    Few are: only those of tracks and detections that compete with others.
    """

    __slots__ = ("_crop", "scale_xy")

    def __init__(self, scale_xy: tuple[float, float]) -> None:
        self.scale_xy = scale_xy
        """Frame pixels per cell; outlines of unequal scales, as of two engines, do not compare."""
        self._crop: Crop | None = None

    @abstractmethod
    def _made(self) -> Crop: ...

    @property
    def crop(self) -> Crop:
        """The cells set, in a window around the box."""
        if self._crop is None:
            self._crop = self._made()
        return self._crop


class _OnInput(Outline):
    """Cut from the grid over the engine's input, beginning at column `x0` and row `y0`."""

    __slots__ = ("_soft", "_x0", "_y0")

    def __init__(self, soft: NDArray[np.uint8], x0: int, y0: int, scale_xy: tuple[float, float]) -> None:
        super().__init__(scale_xy)
        self._soft, self._x0, self._y0 = soft, x0, y0

    def _made(self) -> Crop:
        return Crop(self._x0, self._y0, self._soft >= THRESHOLD)


class _OnBox(Outline):
    """One mask on a grid of its own; drawn on a grid over the frame, as coarse as those of other networks."""

    __slots__ = ("_masks",)

    def __init__(self, masks: Masks, scale_xy: tuple[float, float]) -> None:
        super().__init__(scale_xy)
        self._masks = masks

    def _made(self) -> Crop:
        return tight_crops(self._masks)[0]


class KeptOutline(Outline):
    """Made already, as in a snapshot."""

    __slots__ = ()

    def __init__(self, crop: Crop, scale_xy: tuple[float, float]) -> None:
        super().__init__(scale_xy)
        self._crop = crop

    def _made(self) -> Crop:
        raise AssertionError("it is made")


def outline_iou(a: Outline | None, b: Outline | None, shift_px: tuple[float, float]) -> float:
    """IoU of `a`, moved by `shift_px` pixels of the frame rounded to whole cells, with `b`.

    NaN when one is too small to tell, or when they lie on different grids.
    """
    if a is None or b is None or not _comparable(a, b):
        return float("nan")
    return crop_iou(a.crop, b.crop, _in_cells(shift_px, a))


def outline_share(a: Outline | None, b: Outline | None, shift_px: tuple[float, float]) -> float:
    """How much of the smaller of `a`, moved by `shift_px`, and `b` lies in the other, 0…1; NaN as of IoU.

    What is seen of an object behind another lies in what was seen of it before, however small it has become.
    """
    if a is None or b is None or not _comparable(a, b):
        return float("nan")
    return shared_cells(a.crop, b.crop, _in_cells(shift_px, a)) / min(a.crop.area, b.crop.area)


def _comparable(a: Outline, b: Outline) -> bool:
    return a.scale_xy == b.scale_xy and min(a.crop.area, b.crop.area) >= MIN_MASK_CELLS


def _in_cells(shift_px: tuple[float, float], outline: Outline) -> tuple[float, float]:
    return shift_px[0] / outline.scale_xy[0], shift_px[1] / outline.scale_xy[1]


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
    order = usable[_by_looks(measured[usable], instances.score[usable], instances.class_id[usable])]
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


def _by_looks(
    measured: NDArray[np.float64], score: NDArray[np.float32], class_id: NDArray[np.int32]
) -> NDArray[np.intp]:
    """An order by falling score, then centre, class and size."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    if (ordered[1:] < ordered[:-1]).all():
        return order  # no two alike: the other keys, which cost as much as the rest, decide nothing
    cx, cy, w, h = measured.T
    return np.lexsort((h, w, class_id, cy, cx, -score))


def _outlines(masks: Masks, xyxy: NDArray[np.float64], index: NDArray[np.intp]) -> list[Outline | None]:
    """One per box: the cells it touches and a margin, as networks crop masks a cell outside the box."""
    scale_xy = compared_scale(masks)
    if isinstance(masks.grid, BoxGrids):
        cells = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]) / (scale_xy[0] * scale_xy[1])
        return [
            _OnBox(masks.select(np.array([k])), scale_xy) if enough else None
            for k, enough in zip(index.tolist(), (cells >= MIN_MASK_CELLS).tolist(), strict=True)
        ]
    height, width = masks.soft.shape[1:]
    if height * width < MIN_MASK_CELLS:
        return [None] * len(index)
    cells = xyxy / (*scale_xy, *scale_xy)
    low = np.maximum(np.floor(cells[:, :2]) - _MARGIN, 0).astype(np.intp).tolist()
    high = np.clip(np.ceil(cells[:, 2:]) + _MARGIN, 0, (width, height)).astype(np.intp).tolist()
    soft = masks.soft
    return [
        _OnInput(soft[k, y0:y1, x0:x1].copy(), x0, y0, scale_xy)
        if (x1 - x0) * (y1 - y0) >= MIN_MASK_CELLS
        else None
        for k, (x0, y0), (x1, y1) in zip(index.tolist(), low, high, strict=True)
    ]
