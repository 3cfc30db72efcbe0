"""HOTA, CLEAR MOT and identity scores by TrackEval, from ids and overlaps frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TrackedFrame", "tracking_scores"]

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFrame:
    """One frame of a sequence."""

    true_ids: Ids
    """(M,) of the objects that are there."""
    ids: Ids
    """(N,) of the tracks that are reported."""
    similarity: NDArray[np.float64]
    """(M, N) IoU, of boxes or of masks."""


def tracking_scores(
    sequences: Mapping[str, Sequence[TrackedFrame]], of_masks: bool = False
) -> dict[str, float]:
    """HOTA, AssA, DetA (Luiten et al. 2021), MOTA and IDF1 in per cent and IDSW, the number of identity
    switches, over all sequences by name; `of_masks`: also sMOTSA (Voigtlaender et al. 2019)."""
    from trackeval.metrics import CLEAR, HOTA, Identity  # brings matplotlib: half a second

    metrics = [HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})]
    by_metric: list[dict[str, Any]] = [{}, {}, {}]
    for name, frames in sequences.items():
        data = _as_trackeval(frames)
        for metric, of_sequence in zip(metrics, by_metric, strict=True):
            of_sequence[name] = metric.eval_sequence(data)
    hota, clear, identity = (m.combine_sequences(s) for m, s in zip(metrics, by_metric, strict=True))
    scores = {name: 100 * float(np.mean(hota[name])) for name in ("HOTA", "AssA", "DetA")}
    scores |= {"MOTA": 100 * float(clear["MOTA"]), "IDF1": 100 * float(identity["IDF1"])}
    if of_masks:
        scores["sMOTSA"] = 100 * float(clear["sMOTA"])
    return scores | {"IDSW": int(clear["IDSW"])}


def _as_trackeval(frames: Sequence[TrackedFrame]) -> dict[str, Any]:
    true_ids, true_count = _numbered([frame.true_ids for frame in frames])
    ids, count = _numbered([frame.ids for frame in frames])
    return {
        "num_timesteps": len(frames),
        "gt_ids": true_ids,
        "tracker_ids": ids,
        "similarity_scores": [frame.similarity for frame in frames],
        "num_gt_ids": true_count,
        "num_tracker_ids": count,
        "num_gt_dets": sum(map(len, true_ids)),
        "num_tracker_dets": sum(map(len, ids)),
    }


def _numbered(ids: Sequence[Ids]) -> tuple[list[NDArray[np.intp]], int]:
    """The ids as 0, 1 … without gaps, and how many there are."""
    known, inverse = np.unique(np.concatenate(ids), return_inverse=True)
    return np.split(inverse, np.cumsum([len(i) for i in ids])[:-1]), len(known)
