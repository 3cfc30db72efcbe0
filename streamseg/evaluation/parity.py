"""How closely detections equal those of a published implementation on the same picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import EngineOutputs
from streamseg.masks import BoxGrids, Masks, full_frame
from streamseg.structures import Instances

__all__ = ["Findings", "Parity", "compare_detections", "stretched_instances"]

SCORE, PIXELS, MASK_IOU = 1e-3, 1.0, 0.99
"""What a detection may differ by and still be the same one."""
SAME_MASK = 0.5
"""Masks that overlap by more are taken for the same one where there are no boxes."""


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What the published implementation found, in pixels of the picture."""

    classes: NDArray[np.int64]
    """(N,)"""
    scores: NDArray[np.float32]
    """(N,)"""
    xyxy: NDArray[np.float32] | None
    """(N, 4), cut at the border of the picture; None where the implementation has masks alone (SOLO)."""
    masks: NDArray[np.bool_] | None
    """(N, H, W); None where they are not known and not compared."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Pairs of one picture, or of several added up."""

    expected: int
    """Findings of the published implementation."""
    equal: int
    """Those with a partner of their class within the three tolerances."""
    found: int
    """Findings here."""
    score: float
    """Largest difference of a score in a pair whose boxes agree."""
    pixels: float
    """Largest difference of an edge of a box in such a pair."""
    mask_iou: float
    """Smallest IoU of the masks in such a pair."""
    rounding: int = 0
    """Not equal, but only by pixels of the mask that its 8 bits cannot decide."""
    differing: tuple[str, ...] = ()
    """What is wrong with each of those that are not equal."""

    @property
    def share(self) -> float:
        """Equal ones among those expected."""
        return self.equal / self.expected if self.expected else 1.0

    def __add__(self, other: Parity) -> Parity:
        return Parity(
            self.expected + other.expected,
            self.equal + other.equal,
            self.found + other.found,
            max(self.score, other.score),
            max(self.pixels, other.pixels),
            min(self.mask_iou, other.mask_iou),
            self.rounding + other.rounding,
            self.differing + other.differing,
        )


def stretched_instances(outputs: EngineOutputs, frame_hw: tuple[int, int]) -> Instances:
    """Everything an engine found in the first frame of a batch, which was stretched to the engine's input.

    Unlike the segmenter it keeps what has no area inside the frame: the original reports that too.
    """
    count = int(outputs.count[0])
    height, width = frame_hw
    edges = np.array([width, height, width, height], np.float32)
    xyxy = (outputs.boxes[0, :count] * edges).clip(0, edges)
    mask_h, mask_w = outputs.masks.shape[2:]
    masks = Masks(outputs.masks[0, :count], (width / mask_w, height / mask_h), frame_hw)
    return Instances(xyxy, outputs.scores[0, :count], outputs.classes[0, :count], masks)


def compare_detections(expected: Findings, found: Instances) -> Parity:
    """Pair by class and nearest box, one to one, or, where there are no boxes, by class and best mask.

    Masks are upsampled by `streamseg.masks`.
    """
    free = np.ones(len(found), np.bool_)
    result = Parity(0, 0, len(found), 0.0, 0.0, 1.0)
    for k in range(len(expected.classes)):
        candidates = np.flatnonzero(free & (found.class_id == expected.classes[k]))
        partner, pixels = _partner(expected, k, found, candidates)
        if partner is None:
            result += Parity(1, 0, 0, 0.0, 0.0, 1.0, differing=(f"{_name(expected, k)}: no such instance",))
            continue
        free[partner] = False
        result += _pair(expected, k, found, partner, pixels)
    return result


def _partner(
    expected: Findings, k: int, found: Instances, candidates: NDArray[np.intp]
) -> tuple[int | None, float]:
    """Which of `candidates` expected instance `k` is, if any, and by how many pixels their boxes differ."""
    if not len(candidates):
        return None, 0.0
    if expected.xyxy is not None:
        shifts = np.abs(found.xyxy[candidates] - expected.xyxy[k]).max(axis=1)
        best = int(shifts.argmin())
        return (int(candidates[best]), float(shifts[best])) if shifts[best] <= PIXELS else (None, 0.0)
    assert expected.masks is not None
    overlaps = [_mask_iou(full_frame(found.masks, found.xyxy, j), expected.masks[k]) for j in candidates]
    best = int(np.argmax(overlaps))
    return (int(candidates[best]), 0.0) if overlaps[best] > SAME_MASK else (None, 0.0)


def _mask_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return int(np.count_nonzero(a & b)) / max(int(np.count_nonzero(a | b)), 1)


def _name(expected: Findings, k: int) -> str:
    return f"class {expected.classes[k]}, score {expected.scores[k]:.4f}"


def _pair(expected: Findings, k: int, found: Instances, partner: int, pixels: float) -> Parity:
    score = abs(float(found.score[partner]) - float(expected.scores[k]))
    wrong_score = (f"{_name(expected, k)}: score differs by {score:.1e}",) if score > SCORE else ()
    alike = Parity(1, int(not wrong_score), 0, score, pixels, 1.0, differing=wrong_score)
    if expected.masks is None:
        return alike
    ours, theirs = full_frame(found.masks, found.xyxy, partner), expected.masks[k]
    flipped, union = ours ^ theirs, int(np.count_nonzero(ours | theirs))
    iou = 1 - np.count_nonzero(flipped) / union if union else 1.0
    if wrong_score or iou >= MASK_IOU:
        return replace(alike, mask_iou=iou)
    text = f"{_name(expected, k)}: {np.count_nonzero(flipped)} of {union} pixels of its mask differ"
    rounding = not np.any(flipped & ~_undecided(found.masks, partner))
    return Parity(1, 0, 0, score, pixels, iou, int(rounding), (text,))


def _undecided(masks: Masks, k: int) -> NDArray[np.bool_]:
    """(H, W) where the upsampled mask is so near to one half that rounding its cells decides the side."""
    (rows, columns), (height, width) = masks.soft.shape[1:], masks.frame_hw
    if isinstance(masks.grid, BoxGrids):
        x1, y1, x2, y2 = masks.grid.extent(k, rows, columns)
        down = _interpolation(height, rows + 2, (y2 - y1) / (rows + 2), 1, y1)[:, 1:-1]
        across = _interpolation(width, columns + 2, (x2 - x1) / (columns + 2), 1, x1)[:, 1:-1]
    else:
        down = _interpolation(height, rows, masks.grid[1], masks.finer)
        across = _interpolation(width, columns, masks.grid[0], masks.finer)
    levels = down @ masks.soft[k].astype(np.float64) @ across.T
    # Every cell is off by at most half a level, and so is what lies between them; a little for float32.
    result: NDArray[np.bool_] = np.abs(levels - masks.half) <= 0.501
    return result


def _interpolation(
    pixels: int, cells: int, scale: float, finer: int, origin: float = 0.0
) -> NDArray[np.float64]:
    """(pixels, cells) weights of bilinear upsampling along one axis, by way of a finer grid if asked; the
    grid begins at pixel `origin`."""
    if finer > 1:
        by_finer_grid = _interpolation(pixels, cells * finer, scale / finer, 1)
        return by_finer_grid @ _interpolation(cells * finer, cells, finer, 1)
    centre = np.clip((np.arange(pixels) + 0.5 - origin) / scale - 0.5, 0, cells - 1)
    # A cell's weight falls off linearly to nothing at its neighbours' centres.
    weights: NDArray[np.float64] = np.clip(1 - np.abs(centre[:, None] - np.arange(cells)), 0, None)
    return weights
