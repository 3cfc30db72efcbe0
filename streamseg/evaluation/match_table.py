"""Which detection is right at which overlap: all that AP needs to be worked out again and again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.evaluation.average_precision import AveragePrecision

__all__ = ["MatchTable", "match_tables", "weighted_ap"]

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, eq=False)
class MatchTable:
    """One class. D detections by descending score, T = 10 thresholds .5, .55 … .95, I images."""

    score: NDArray[np.float64]
    """(D,)"""
    image: NDArray[np.intp]
    """(D,) which image, 0 … I − 1."""
    hit: NDArray[np.bool_]
    """(T, D) matches an object of its class."""
    counted: NDArray[np.bool_]
    """(T, D) not matched to a crowd."""
    objects: NDArray[np.int64]
    """(I,) objects to be found in each image."""


def match_tables(ap: AveragePrecision, images: int) -> dict[int, MatchTable]:
    """By category; `images` as many as were judged."""
    return {category: _table(ap, k * images, images) for k, category in enumerate(ap.categories)}


def _table(ap: AveragePrecision, first: int, images: int) -> MatchTable:
    records = [(i, r) for i, r in enumerate(ap.matches[first : first + images]) if r is not None]
    objects = np.zeros(images, np.int64)
    for i, record in records:
        objects[i] = np.count_nonzero(record["gtIgnore"] == 0)
    score = np.concatenate([np.zeros(0), *(r["dtScores"] for _, r in records)])
    order = np.argsort(-score, kind="mergesort")
    nothing = np.zeros((10, 0), np.bool_)
    matched = np.concatenate([nothing, *(r["dtMatches"] > 0 for _, r in records)], axis=1)[:, order]
    ignored = np.concatenate([nothing, *(r["dtIgnore"] for _, r in records)], axis=1)[:, order].astype(
        np.bool_
    )
    image = np.repeat([i for i, _ in records], [len(r["dtScores"]) for _, r in records])
    return MatchTable(score[order], image.astype(np.intp)[order], matched & ~ignored, ~ignored, objects)


def weighted_ap(table: MatchTable, weights: NDArray[np.int64]) -> float:
    """COCO's AP, 0…1, as if image i were there `weights[i]` times, (I,); NaN without an object.

    With weights of 1 it is what pycocotools says.
    """
    objects = int(table.objects @ weights)
    if not objects:
        return float("nan")
    columns = np.flatnonzero(table.hit.any(axis=0))
    if not len(columns):
        return 0.0
    # What follows the last hit moves no precision that counts.
    end = columns[-1] + 1
    weight = weights[table.image[:end]]
    hits = np.cumsum(table.hit[:, :end] * weight, axis=1)
    counted = np.cumsum(table.counted[:, :end] * weight, axis=1)
    hits, counted = hits[:, columns], counted[:, columns]
    precision = hits / np.maximum(counted, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # The fewest hits that reach each recall; rows one behind the other, so that one search does for all.
    needed = np.searchsorted(np.arange(objects + 1) / objects, _RECALLS)
    offset = (objects + 1) * np.arange(len(hits))[:, None]
    index = np.searchsorted((hits + offset).ravel(), (needed + offset).ravel()).reshape(len(hits), -1)
    reached = index < hits.shape[1] * np.arange(1, len(hits) + 1)[:, None]
    return float(envelope.ravel()[index[reached]].sum()) / index.size
