"""Whether the figures of a comparison are good enough, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from streamseg.certification.comparison import Figures

__all__ = ["Thresholds", "Verdict", "judge", "thresholds_from"]

Verdict = Literal["passed", "failed", "not enough"]

FORGIVEN = 2
"""Instances that a class may always lose: one object that flickers is no verdict on its class."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a candidate must keep to; docs/certify.md says where the defaults come from."""

    max_missed: float = 0.02
    """Largest share of the reference's instances missed or given another class."""
    max_missed_of_class: float = 0.10
    """The same for each single class, beyond two instances: a rare class must not vanish in the total."""
    max_extra: float = 0.05
    """Largest number of instances that the reference does not have, as a share of those it has."""
    max_count_change: float = 0.10
    """Largest difference, beyond two, of how many instances reach the score, as a share of the reference's.
    A partner may score a little less; this is what keeps that from hiding scores that sink altogether."""
    min_iou_p5: float = 0.85
    """Least mask IoU that 95 % of the pairs reach."""
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


def judge(figures: Figures, thresholds: Thresholds) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and a line for each reason against a pass, naming threshold and value.

    `not enough`: the reference found too little to judge by. Nothing to compare is no agreement.
    """
    if figures.due < thresholds.min_instances:
        return "not enough", (
            f"the reference finds {figures.due} instances in {figures.frames} frames, at least "
            f"{thresholds.min_instances} are needed to judge; use footage with more objects, or more frames",
        )
    found = tuple(_faults(figures, thresholds))
    return ("failed" if found else "passed"), found


def _faults(figures: Figures, thresholds: Thresholds) -> list[str]:
    lost, due = figures.missed + figures.changed, figures.due
    found = [
        _share("missed or of another class", lost, due, thresholds.max_missed),
        *_classes_that_vanish(figures, thresholds.max_missed_of_class),
        _extra(figures, thresholds.max_extra),
        _count_change(figures, thresholds.max_count_change),
    ]
    if figures.iou and figures.iou["p5"] < thresholds.min_iou_p5:
        found.append(f"mask IoU p5 is {figures.iou['p5']:.3f}, at least {thresholds.min_iou_p5:g} is wanted")
    if figures.boundary_share is not None and figures.boundary_share > thresholds.max_boundary:
        found.append(
            f"boundary error is {figures.boundary_share:.2%} of the frame's diagonal on average, "
            f"allowed {thresholds.max_boundary:.2%}"
        )
    if figures.score_shift and figures.score_shift["p95"] > thresholds.max_score_shift:
        found.append(
            f"score shift p95 is {figures.score_shift['p95']:.3f}, allowed {thresholds.max_score_shift:g}"
        )
    return [line for line in found if line]


def _share(what: str, count: int, of: int, allowed: float) -> str:
    """The complaint, or nothing."""
    if count <= allowed * of:
        return ""
    return f"{count} of {of} instances {what} ({count / of:.1%}), allowed {allowed:.1%}"


def _extra(figures: Figures, allowed: float) -> str:
    if figures.extra <= allowed * figures.due:
        return ""
    share = figures.extra / figures.due
    return f"{figures.extra} instances that the reference does not have ({share:.1%}), allowed {allowed:.1%}"


def _count_change(figures: Figures, allowed: float) -> str:
    change = figures.candidate - figures.reference
    if abs(change) <= max(FORGIVEN, allowed * figures.reference):
        return ""
    return (
        f"{figures.candidate} instances reach the score instead of {figures.reference} "
        f"({change / max(figures.reference, 1):+.1%}), allowed {allowed:.1%} either way"
    )


def _classes_that_vanish(figures: Figures, allowed: float) -> list[str]:
    lines = []
    for row in figures.classes:
        lost = row.missed + row.changed
        if lost > max(FORGIVEN, allowed * row.due):
            lines.append(f"{row.name}: {_share('missed or of another class', lost, row.due, allowed)}")
    return lines
