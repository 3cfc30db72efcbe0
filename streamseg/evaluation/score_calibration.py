"""Whether a score of 0.8 is right eight times out of ten. Tested in tests/evaluation/test_match_table.py."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.evaluation.match_table import MatchTable

__all__ = ["BINS", "Calibration", "calibration"]

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Detections of one range of scores."""

    low: float
    high: float
    detections: int
    score: float | None
    """Their mean score."""
    precision: float | None
    """The share that matches an object of their class at mask IoU 0.5."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error (Guo et al. 2017) of detections, and what it is made of."""

    ece: float | None
    """0…1: mean over detections of the gap between score and precision of their bin; None without any."""
    detections: int
    bins: tuple[Bin, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def calibration(tables: list[MatchTable]) -> Calibration:
    """Over all classes; detections matched to crowds are left out."""
    scores, hits = (_joined(tables, column) for column in ("score", "hit"))
    number = np.minimum((scores * BINS).astype(np.intp), BINS - 1)
    bins = tuple(_bin(k, scores[number == k], hits[number == k]) for k in range(BINS))
    gaps = [
        b.detections * abs(b.score - b.precision)
        for b in bins
        if b.score is not None and b.precision is not None
    ]
    return Calibration(sum(gaps) / len(scores) if len(scores) else None, len(scores), bins)


def _joined(tables: list[MatchTable], column: str) -> NDArray[np.float64]:
    parts = [
        (table.score if column == "score" else table.hit[0].astype(np.float64))[table.counted[0]]
        for table in tables
    ]
    return np.concatenate([np.zeros(0), *parts])


def _bin(k: int, scores: NDArray[np.float64], hits: NDArray[np.float64]) -> Bin:
    mean = (float(scores.mean()), float(hits.mean())) if len(scores) else (None, None)
    return Bin(k / BINS, (k + 1) / BINS, len(scores), *mean)
