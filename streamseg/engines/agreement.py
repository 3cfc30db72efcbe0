"""How much two engines agree on the same frames, when rows may swap and near ties may flip.

Rounding differs between runtimes and precisions: rows of nearly equal score change places and
decisions at a threshold tip over. So rows are matched by class and box before anything is compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import EngineOutputs

__all__ = ["Agreement", "compare"]

FloatArray = NDArray[np.float32]
MATCH_IOU = 0.5
"""Survivors of one class overlap by no more than this, so a better overlap can only be the same one."""
LEAST_SIDE = 1e-3
"""Sides of boxes are taken to be no shorter than this share of the input's: where a network clips its boxes,
those beyond the border are lines, which Fast NMS never suppresses and which would overlap nothing."""
SAME_LEVEL = 2
"""Levels (of 255) by which a cell of a mask may differ and still count as equal."""


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """One row of each column per matched pair."""

    score_shift: FloatArray
    """(n,) absolute difference of the scores."""
    box_shift: FloatArray
    """(n,) largest absolute difference of the four relative coordinates."""
    mask_iou: FloatArray
    """(n,) IoU of the masks cut at one half; 1 where both are empty."""
    cells_differ: FloatArray
    """(n,) share of mask cells that differ by more than two levels."""
    reference_row: NDArray[np.int64]
    """(n, 2) frame of the batch, and row of the reference in it."""
    only_reference: int
    """Instances of the reference, above the score asked for, without a partner."""
    only_other: int
    """The same of the other."""

    @property
    def matched(self) -> int:
        """Number of pairs."""
        return len(self.score_shift)

    @property
    def matched_share(self) -> float:
        """Pairs among all instances that should have a partner, 0…1; 1 when there are none."""
        total = self.matched + self.only_reference + self.only_other
        return self.matched / total if total else 1.0


def compare(reference: EngineOutputs, other: EngineOutputs, *, min_score: float = 0.0) -> Agreement:
    """Compare two outputs for one batch.

    Instances of at least `min_score` need a partner, which may score less. With a full list (count = K)
    the weakest may have been cut off on the other side: what does not beat its last score is not missed.
    """
    rows: list[tuple[float, float, float, float]] = []
    places: list[tuple[int, int]] = []
    lonely = [0, 0]
    for b in range(len(reference.count)):
        pairs = _match(reference, other, b)
        floors = max(min_score, _cut(other, b)), max(min_score, _cut(reference, b))
        for side, (outputs, used) in enumerate(((reference, set(pairs)), (other, set(pairs.values())))):
            alone = set(range(int(outputs.count[b]))) - used
            lonely[side] += sum(bool(outputs.scores[b, i] > floors[side]) for i in alone)
        strong = {i: j for i, j in pairs.items() if reference.scores[b, i] >= min_score}
        rows += [_differences(reference, other, b, i, j) for i, j in strong.items()]
        places += [(b, i) for i in strong]
    score, box, mask, cells = np.array(rows, np.float32).reshape(-1, 4).T
    return Agreement(score, box, mask, cells, np.array(places, np.int64).reshape(-1, 2), lonely[0], lonely[1])


def _cut(outputs: EngineOutputs, b: int) -> float:
    """The score that an instance had to beat to be listed; a little is added for rounding."""
    full = outputs.count[b] == outputs.scores.shape[1]
    return float(outputs.scores[b, -1]) + 1e-3 if full else 0.0


def _match(reference: EngineOutputs, other: EngineOutputs, b: int) -> dict[int, int]:
    """Rows of the reference, by descending score, → their partners."""
    n, m = int(reference.count[b]), int(other.count[b])
    iou = _pairwise_iou(reference.boxes[b, :n], other.boxes[b, :m])
    iou[reference.classes[b, :n, None] != other.classes[b, None, :m]] = 0
    pairs: dict[int, int] = {}
    for i in range(n if m else 0):
        j = int(iou[i].argmax())
        if iou[i, j] > MATCH_IOU:
            pairs[i] = j
            iou[:, j] = 0
    return pairs


def _pairwise_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    a, b = _with_area(a), _with_area(b)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = (high - low).clip(0).prod(-1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    result: FloatArray = inter / (area_a[:, None] + area_b[None] - inter)
    return result


def _with_area(boxes: FloatArray) -> FloatArray:
    short = (LEAST_SIDE - (boxes[:, 2:] - boxes[:, :2])).clip(0) / 2
    grown: FloatArray = boxes + np.concatenate([-short, short], axis=1)
    return grown


def _differences(
    reference: EngineOutputs, other: EngineOutputs, b: int, i: int, j: int
) -> tuple[float, float, float, float]:
    soft_a, soft_b = reference.masks[b, i], other.masks[b, j]
    hard_a, hard_b = soft_a > 127, soft_b > 127
    union = np.count_nonzero(hard_a | hard_b)
    return (
        abs(float(reference.scores[b, i]) - float(other.scores[b, j])),
        float(np.abs(reference.boxes[b, i] - other.boxes[b, j]).max()),
        np.count_nonzero(hard_a & hard_b) / union if union else 1.0,
        float((np.abs(soft_a.astype(np.int16) - soft_b) > SAME_LEVEL).mean()),
    )
