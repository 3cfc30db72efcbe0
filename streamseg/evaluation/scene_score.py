"""Masks and identities of a run, scored against the exact truth of the synthetic scene.

Tested in tests/evaluation/test_scene_benchmark.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from streamseg.scene import SceneTruth
from streamseg.structures import Result

__all__ = ["SceneScore", "mask_ious"]

MATCH_IOU = 0.5


class SceneScore:
    """Adds up frames; a prediction and a true object match one to one at mask IoU ≥ 0.5.

    An identity switch is counted when a true object is matched to another id than the last time it had
    one (the IDSW of CLEAR MOT, Bernardin & Stiefelhagen 2008, on mask IoU).
    """

    def __init__(self) -> None:
        self.frames = 0
        self.true = 0
        self.predicted = 0
        self.switches = 0
        self._ious: list[float] = []
        self._last_id: dict[int, int] = {}

    def add(
        self, result: Result, truth: SceneTruth, ious: NDArray[np.float64] | None = None
    ) -> list[tuple[int, int]]:
        """One frame's result and its truth, both at the same frame size; `ious` are those of `mask_ious`,
        where they are known already. Rows of the result and of the truth that match."""
        iou = mask_ious(result, truth) if ious is None else ious
        rows, columns = linear_sum_assignment(iou, maximize=True)
        matched = [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if iou[r, c] >= MATCH_IOU]
        self.frames += 1
        self.true += len(truth)
        self.predicted += len(result.instances)
        self._ious += [float(iou[r, c]) for r, c in matched]
        for row, column in matched:
            self._follow(int(truth.ids[column]), int(result.tracks.id[row]))
        return matched

    def _follow(self, true_id: int, track_id: int) -> None:
        if track_id < 0:
            return
        self.switches += self._last_id.get(true_id, track_id) != track_id
        self._last_id[true_id] = track_id

    def summary(self) -> dict[str, float]:
        """Plain numbers: `mean_iou` of the matched, `recall`, `precision`, identity switches, objects."""
        matched = len(self._ious)
        return {
            "frames": self.frames,
            "objects": len(self._last_id),
            "mean_iou": float(np.mean(self._ious)) if matched else 0.0,
            "recall": matched / self.true if self.true else 1.0,
            "precision": matched / self.predicted if self.predicted else 1.0,
            "id_switches": self.switches,
        }


def mask_ious(result: Result, truth: SceneTruth) -> NDArray[np.float64]:
    """(N, M) mask IoU of N predictions and M true objects, counted inside each prediction's region."""
    iou = np.zeros((len(result.instances), len(truth)))
    true_area = np.bincount(truth.labels.ravel(), minlength=len(truth) + 1)[1:]
    for row, ((x, y), bits) in enumerate(result.instances.pixels.regions):
        height, width = bits.shape
        under = truth.labels[y : y + height, x : x + width][bits]
        shared = np.bincount(under, minlength=len(truth) + 1)[1:]
        union = true_area + np.count_nonzero(bits) - shared
        iou[row] = shared / np.maximum(union, 1)
    return iou
