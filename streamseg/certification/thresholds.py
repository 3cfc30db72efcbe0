"""What a candidate must keep to. Tested in tests/certification/test_verdict.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["OUTLIERS", "Thresholds", "thresholds_from"]

OUTLIERS = 0.05
"""Share of the pairs that may lie beyond a limit named p5 or p95."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """docs/certify.md says where the defaults come from."""

    max_missed: float = 0.02
    """Largest share of the reference's instances missed or given another class."""
    max_missed_of_class: float = 0.10
    """The same for each single class: a rare class must not vanish in the total."""
    max_extra: float = 0.05
    """Largest number of instances that the reference does not have, as a share of those it has."""
    max_count_change: float = 0.10
    """Largest difference of how many instances reach the score, as a share of the reference's. A partner may
    score a little less; this is what keeps that from hiding scores that sink altogether."""
    max_weak_change: float = 0.30
    """The same for those below the score that a tracker still uses."""
    min_iou_p5: float = 0.85
    """Least mask IoU that 95 % of the pairs reach."""
    min_box_iou_p5: float = 0.85
    """Least box IoU that 95 % of the pairs reach."""
    max_boundary: float = 0.001
    """Largest mean boundary error, as a share of the frame's diagonal (0.001: 1.5 pixels at 1280×720)."""
    max_score_shift: float = 0.08
    """Largest p95 of the absolute score shift."""
    min_instances: int = 20
    """Fewer instances of the reference than this are not enough to judge."""


def thresholds_from(**given: float | None) -> Thresholds:
    """The defaults, but for those that are given."""
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return Thresholds(**chosen)
