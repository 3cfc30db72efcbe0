"""Panoptic quality (Kirillov et al. 2019, "Panoptic Segmentation"), from label maps.

Own code, because the one kept package (torchmetrics) sorts every pixel of every image as a row of a
tensor: the joint histogram of two label maps holds all that the definition needs. Tests compare the two.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.masks import Region

__all__ = ["NO_SEGMENT", "VOID", "ImageQuality", "LabelMap", "PanopticQuality", "Quality"]

Category = Hashable
VOID = 65535
"""Label of pixels of which the truth says nothing."""
NO_SEGMENT = 0
_STRIPE_PIXELS = 1 << 22
_MATCH_IOU = 0.5


class LabelMap:
    """Segments of one image that do not overlap: what is painted later lies on top."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.labels = np.zeros(size_hw, np.uint16)
        """(H, W) uint16: 0 = no segment, k + 1 = segment k, `VOID`."""
        self.categories: list[Category] = []
        """Of each segment."""
        self.crowds: list[bool] = []
        """Whether each segment is a region of many objects, which is neither found nor missed."""

    def add(self, region: Region, category: Category, crowd: bool = False) -> None:
        """Paint a segment over what is there."""
        (x, y), (height, width) = region.origin_xy, region.bits.shape
        self._begin(category, crowd)
        self.labels[y : y + height, x : x + width][region.bits] = len(self.categories)

    def add_below(
        self, region: Region, category: Category, least_visible: float, crowd: bool = False
    ) -> bool:
        """Paint a segment where nothing is yet; False, nothing done, unless more than that share is free."""
        (x, y), (height, width) = region.origin_xy, region.bits.shape
        part = self.labels[y : y + height, x : x + width]
        free = region.bits & (part == NO_SEGMENT)
        if np.count_nonzero(free) <= least_visible * np.count_nonzero(region.bits):
            return False
        self._begin(category, crowd)
        part[free] = len(self.categories)
        return True

    def add_map(self, values: NDArray[np.uint8], categories: Sequence[tuple[int, Category]]) -> None:
        """Where nothing is yet, one segment for each of the values (H, W) of a semantic map that is named."""
        free = self.labels == NO_SEGMENT
        for value, category in categories:
            where = free & (values == value)
            if where.any():
                self._begin(category, False)
                self.labels[where] = len(self.categories)

    def _begin(self, category: Category, crowd: bool) -> None:
        if len(self.categories) + 1 >= VOID:
            raise ValueError(f"LabelMap: more than {VOID - 1} segments in one image")
        self.categories.append(category)
        self.crowds.append(crowd)


@dataclass(slots=True)
class Quality:
    """What is added up of one category, or of one image."""

    iou: float = 0.0
    """Sum over the segments found."""
    found: int = 0
    extra: int = 0
    missed: int = 0

    @property
    def known(self) -> bool:
        """Whether there was anything to find or anything was found."""
        return self.found + self.extra + self.missed > 0

    @property
    def pq(self) -> float:
        """SQ × RQ."""
        return self.sq * self.rq

    @property
    def sq(self) -> float:
        """Mean IoU of the segments found; 0 without any."""
        return self.iou / self.found if self.found else 0.0

    @property
    def rq(self) -> float:
        """F1: found / (found + extra / 2 + missed / 2)."""
        return self.found / (self.found + 0.5 * self.extra + 0.5 * self.missed) if self.known else 0.0

    def add(self, other: Quality) -> None:
        """Add what another has."""
        self.iou += other.iou
        self.found += other.found
        self.extra += other.extra
        self.missed += other.missed


ImageQuality = dict[Category, Quality]


class PanopticQuality:
    """Adds up images; segments match at IoU > 0.5, which leaves no choice of partners."""

    def __init__(self) -> None:
        self.by_category: ImageQuality = {}

    def add(self, truth: LabelMap, found: LabelMap) -> ImageQuality:
        """One image; what it adds, by category.

        As the paper says, pixels that are void in the truth count neither as overlap nor as union, and a
        segment more than half of which lies on them, or on crowds of its category, is not an extra one.
        """
        added = _compared(truth, found)
        for category, quality in added.items():
            self.by_category.setdefault(category, Quality()).add(quality)
        return added

    def mean(self, categories: Sequence[Category]) -> tuple[float, float, float] | None:
        """PQ, SQ and RQ, 0…1, means over those categories that occur in the truth or were found."""
        known = [q for c in categories if (q := self.by_category.get(c)) and q.known]
        if not known:
            return None
        pq, sq, rq = np.mean([(q.pq, q.sq, q.rq) for q in known], axis=0).tolist()
        return pq, sq, rq


def _compared(truth: LabelMap, found: LabelMap) -> ImageQuality:
    shared = _histogram(truth, found)
    true_area, found_area = shared.sum(axis=1), shared.sum(axis=0)
    on_void = shared[-1]
    qualities: ImageQuality = {}
    matched: set[int] = set()
    missed = {k for k, crowd in enumerate(truth.crowds, start=1) if not crowd}
    for k, j in np.argwhere(shared[1:-1, 1:]).tolist():
        row, column = k + 1, j + 1
        category = found.categories[j]
        if row not in missed or truth.categories[k] != category:
            continue
        union = true_area[row] + found_area[column] - shared[row, column] - on_void[column]
        iou = shared[row, column] / union
        if iou > _MATCH_IOU:
            qualities.setdefault(category, Quality()).add(Quality(float(iou), 1))
            missed.discard(row)
            matched.add(column)
    for row in missed:
        # A segment that later ones hide altogether is not in the truth.
        if true_area[row]:
            qualities.setdefault(truth.categories[row - 1], Quality()).missed += 1
    for column, category in enumerate(found.categories, start=1):
        crowds = [
            row
            for row, crowd in enumerate(truth.crowds, start=1)
            if crowd and truth.categories[row - 1] == category
        ]
        ignored = on_void[column] + shared[crowds, column].sum()
        if column not in matched and found_area[column] and ignored <= 0.5 * found_area[column]:
            qualities.setdefault(category, Quality()).extra += 1
    return qualities


def _histogram(truth: LabelMap, found: LabelMap) -> NDArray[np.int64]:
    """(S + 2, F + 1) pixels of each true segment under each found one; the last row is void."""
    rows, columns = len(truth.categories) + 2, len(found.categories) + 1
    counts = np.zeros(rows * columns, np.int64)
    width = max(truth.labels.shape[1], 1)
    # By stripes: the index of a picture of 12,000 × 9,000 would take a gigabyte.
    step = max(1, _STRIPE_PIXELS // width)
    for top in range(0, len(truth.labels), step):
        index = np.minimum(truth.labels[top : top + step], rows - 1).astype(np.int64) * columns
        index += found.labels[top : top + step]
        counts += np.bincount(index.ravel(), minlength=len(counts))
    return counts.reshape(rows, columns)
