"""What can be set on a tracker, and why each default is what it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

__all__ = ["TrackerConfig"]

DEFAULT_SCORE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """Thresholds and times of a Tracker. Raises ValueError that names the field when one is out of range.

    The scores are those of the detector in use. The defaults fit the softmax scores of YOLACT shown
    at 0.3; `for_score_threshold` moves them together to another threshold.
    """

    high_score: float = DEFAULT_SCORE
    """Detections from here on may be matched to every track and begin new ones: what a user would call
    a detection, so that everything shown at this threshold gets an id."""
    low_score: float = 0.1
    """Detections from here up to `high_score` only prolong a track seen in the frame before. Lower ones
    are ignored."""
    gate_iou: float = 0.3
    """Least IoU of predicted and detected box, both enlarged after a long step, for a match."""
    low_gate_iou: float = 0.5
    """The same for detections below `high_score`."""
    class_penalty: float = 0.1
    """Taken off the rank of a pair whose classes differ: decides between near equals, forbids nothing. (Only
    the second look, for tracks that the gate lost, keeps to the class.)"""
    confirm_hits: int = 3
    """Frames a track must be seen in, without a miss, before it gets its id, at scores of 0.63; it counts the
    sum of the scores, so that less sure detections must be seen longer, and two very sure ones suffice for
    three. 1: the first frame suffices, whatever the score."""
    lost_seconds: float = 2.0
    """How long an unseen track is kept, in media time; at least two steps of a slower stream."""
    nominal_step_seconds: float | None = None
    """Usual time between frames of this stream; None: estimated from the recent steps.

    Worth setting where the source tells its rate: an estimate cannot know that every frame it sees was
    preceded by two dropped ones."""

    def __post_init__(self) -> None:
        for name in ("high_score", "low_score", "gate_iou", "low_gate_iou", "class_penalty"):
            self._check(name, 0.0 <= getattr(self, name) <= 1.0, "within 0…1")
        self._check("low_score", self.low_score <= self.high_score, f"at most high_score ({self.high_score})")
        self._check("confirm_hits", self.confirm_hits >= 1, "at least 1")
        self._check("lost_seconds", 0.0 <= self.lost_seconds < math.inf, "a finite time, not negative")
        step = self.nominal_step_seconds
        self._check("nominal_step_seconds", step is None or 0.0 < step < math.inf, "a finite time above 0")

    def _check(self, name: str, fits: bool, wanted: str) -> None:
        if not fits:
            raise ValueError(f"TrackerConfig.{name} is {getattr(self, name)!r}: must be {wanted}")

    @classmethod
    def for_score_threshold(cls, threshold: float) -> Self:
        """For a pipeline that shows detections from `threshold` on: those from a third of it prolong."""
        return cls(high_score=threshold, low_score=threshold / 3)
