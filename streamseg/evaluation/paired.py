"""Whether one engine is better than another, or only on these images.

Tested in tests/evaluation/test_match_table.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamseg.errors import DatasetError
from streamseg.evaluation.match_table import MatchTable, weighted_ap

__all__ = ["RESAMPLES", "PairedDifference", "paired_difference"]

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mask AP of one engine minus that of another on the same images, over classes that both have."""

    classes: tuple[str, ...]
    ap: float
    other_ap: float
    difference: float
    low: float
    high: float
    """95 % confidence interval of the difference: percentiles of a bootstrap over images."""
    resamples: int


def paired_difference(
    own: Mapping[str, MatchTable],
    other: Mapping[str, MatchTable],
    resamples: int = RESAMPLES,
) -> PairedDifference:
    """By class, over the same images in the same order. Each resample draws images with replacement, the same
    for both engines (Efron 1979), always the same ones. Raises DatasetError without a common class."""
    classes = tuple(name for name in own if name in other and own[name].objects.any())
    if not classes:
        raise DatasetError("nothing to compare: no class with instances that both engines have")
    tables = [own[name] for name in classes], [other[name] for name in classes]
    images = len(own[classes[0]].objects)
    ap, other_ap = (_mean_ap(side, np.ones(images, np.int64)) for side in tables)
    random = np.random.default_rng(0)
    differences = []
    for _ in range(resamples):
        weights = np.bincount(random.integers(images, size=images), minlength=images)
        if any(table.objects @ weights for table in tables[0]):
            differences.append(_mean_ap(tables[0], weights) - _mean_ap(tables[1], weights))
    low, high = np.percentile(differences, (2.5, 97.5)).tolist()
    return PairedDifference(classes, ap, other_ap, ap - other_ap, low, high, len(differences))


def _mean_ap(tables: Sequence[MatchTable], weights: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    return float(np.nanmean([weighted_ap(table, weights) for table in tables]))
