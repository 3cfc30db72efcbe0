"""How closely detections equal those of a published implementation on the same picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.engines.contract import EngineOutputs
from streamseg.masks import full_frame
from streamseg.structures import Instances, Masks

__all__ = ["Detections", "Parity", "compare_detections", "stretched_instances"]

SCORE, PIXELS, MASK_IOU = 1e-3, 1.0, 0.99
"""What a detection may differ by and still be the same one."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What the published implementation found, in pixels of the picture."""

    classes: NDArray[np.int64]
    """(N,)"""
    scores: NDArray[np.float32]
    """(N,)"""
    xyxy: NDArray[np.float32]
    """(N, 4), cut at the border of the picture."""
    masks: NDArray[np.bool_] | None
    """(N, H, W); None where they are not known and not compared."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Pairs of one picture, or of several added up."""

    expected: int
    """Detections of the published implementation."""
    equal: int
    """Those with a partner of their class within the three tolerances."""
    found: int
    """Detections here."""
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


def compare_detections(expected: Detections, found: Instances) -> Parity:
    """Pair by class and nearest box, one to one; masks are upsampled by `streamseg.masks`."""
    free = np.ones(len(found), np.bool_)
    result = Parity(0, 0, len(found), 0.0, 0.0, 1.0)
    for k in range(len(expected.classes)):
        shifts = np.abs(found.xyxy - expected.xyxy[k]).max(axis=1, initial=0)
        shifts[~free | (found.class_id != expected.classes[k])] = np.inf
        partner = int(shifts.argmin()) if len(shifts) else -1
        if partner < 0 or shifts[partner] > PIXELS:
            result += Parity(1, 0, 0, 0.0, 0.0, 1.0, differing=(f"{_name(expected, k)}: no such box",))
            continue
        free[partner] = False
        result += _pair(expected, k, found, partner, float(shifts[partner]))
    return result


def _name(expected: Detections, k: int) -> str:
    return f"class {expected.classes[k]}, score {expected.scores[k]:.4f}"


def _pair(expected: Detections, k: int, found: Instances, partner: int, pixels: float) -> Parity:
    score = abs(float(found.score[partner]) - float(expected.scores[k]))
    wrong_score = (f"{_name(expected, k)}: score differs by {score:.1e}",) if score > SCORE else ()
    alike = Parity(1, int(not wrong_score), 0, score, pixels, 1.0, differing=wrong_score)
    if expected.masks is None:
        return alike
    ours, theirs = full_frame(found.masks, found.xyxy, partner), expected.masks[k]
    flipped, union = ours ^ theirs, np.count_nonzero(ours | theirs)
    iou = 1 - np.count_nonzero(flipped) / union if union else 1.0
    if wrong_score or iou >= MASK_IOU:
        return replace(alike, mask_iou=iou)
    text = f"{_name(expected, k)}: {np.count_nonzero(flipped)} of {union} pixels of its mask differ"
    rounding = not np.any(flipped & ~_undecided(found.masks, partner))
    return Parity(1, 0, 0, score, pixels, iou, int(rounding), (text,))


def _undecided(masks: Masks, k: int) -> NDArray[np.bool_]:
    """(H, W) where the upsampled mask is so near to one half that rounding its cells decides the side."""
    size = masks.frame_hw[::-1]
    levels = cv2.resize(masks.soft[k].astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    # Every cell is off by at most half a level, and so is what lies between them; a little for float32.
    result: NDArray[np.bool_] = np.abs(levels - 127.5) <= 0.501
    return result
