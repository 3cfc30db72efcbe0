"""Whether the figures of a comparison are good enough, and if not, why."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from streamseg.certification.comparison import Figures, PairLimit
from streamseg.certification.evidence import Finding, footage_needed, more_often_than_not, weigh
from streamseg.certification.thresholds import OUTLIERS, Thresholds

__all__ = ["Verdict", "judge"]

Verdict = Literal["passed", "failed", "not enough"]

QUANTILE = 1.645
"""Standard errors that a mean must be away from its limit: one in twenty, one-sided."""
WORTH_NAMING = 10
"""Times as much footage that is worth naming a number of frames for."""


def judge(figures: Figures, thresholds: Thresholds) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and a line for each reason against a pass, naming threshold and value.

    `failed`: something is proven to be beyond its limit. `not enough`: nothing is, but the footage had too
    little in it to say so for good (see `weigh`). Nothing to compare is no agreement.
    """
    reasons = list(_reasons(figures, thresholds))
    faults = tuple(r.said for r in reasons if r.finding == "fault")
    if faults:
        return "failed", faults
    if figures.due < thresholds.min_instances:
        return "not enough", (
            f"the reference finds {figures.due} instances in {figures.frames} frames, at least "
            f"{thresholds.min_instances} are needed to judge; use footage with more objects, or more frames",
        )
    unsettled = tuple(f"{r.said}: {_more(r, figures.frames)}" for r in reasons if r.finding == "open")
    return ("not enough" if unsettled else "passed"), unsettled


@dataclass(frozen=True, slots=True)
class _Reason:
    """One figure beside its limit."""

    finding: Finding
    said: str
    times: float | None
    """As much footage as this would settle it; None: unknown, or more than anyone has."""


def _more(reason: _Reason, frames: int) -> str:
    if reason.times is None or reason.times > WORTH_NAMING:
        return "too close to tell, use other footage with more of it"
    return f"too close to tell; about {math.ceil(frames * max(reason.times, 1.1))} frames like these would do"


def _reasons(figures: Figures, limits: Thresholds) -> Iterator[_Reason]:
    due, lost = figures.due, figures.missed + figures.changed
    yield _count(lost, due, limits.max_missed, f"{lost} of {due} instances missed or of another class")
    yield from _classes(figures, limits.max_missed_of_class)
    extra = f"{figures.extra} instances that the reference does not have"
    yield _count(figures.extra, due, limits.max_extra, extra)
    yield _change(
        figures.reference, figures.candidate, limits.max_count_change, "instances reach the score", "open"
    )
    # Footage without weak instances is common, and no reason to ask for more.
    weak = "instances below the score that a tracker would use"
    yield _change(figures.weak_reference, figures.weak_candidate, limits.max_weak_change, weak, "fine")
    yield from _pairs(figures, limits)
    yield from _boundary(figures, limits.max_boundary)
    for tried in figures.nearer:
        if more_often_than_not(tried.nearer, tried.frames):
            yield _Reason(
                "fault",
                f"in {tried.nearer} of {tried.frames} frames it finds rather what the reference finds in "
                f"a picture {tried.name}: its preprocessing is another",
                None,
            )


def _count(count: int, of: int, share: float, what: str) -> _Reason:
    allowed = share * of
    said = f"{what} ({count / of:.1%}), allowed {share:.1%}" if of else f"{what}, allowed {share:.1%}"
    return _Reason(weigh(count, allowed), said, footage_needed(count, allowed))


def _classes(figures: Figures, share: float) -> Iterator[_Reason]:
    """One instance of a class is always forgiven; without that each class would have to occur ten times."""
    for row in figures.classes:
        lost = row.missed + row.changed
        if lost > max(1.0, share * row.due):
            said = f"{row.name}: {lost} of {row.due} instances missed or of another class"
            yield _count(lost, row.due, share, said)


def _change(reference: int, candidate: int, share: float, what: str, unsettled: Finding) -> _Reason:
    change, allowed = candidate - reference, share * reference
    finding = weigh(abs(change), allowed)
    said = (
        f"{candidate} {what} instead of {reference} ({change / max(reference, 1):+.1%}), "
        f"allowed {share:.1%} either way"
    )
    return _Reason(unsettled if finding == "open" else finding, said, footage_needed(abs(change), allowed))


def _pairs(figures: Figures, limits: Thresholds) -> Iterator[_Reason]:
    if not (figures.iou and figures.box_iou and figures.score_shift):
        return
    said: dict[PairLimit, str] = {
        "mask": f"mask IoU p5 is {figures.iou['p5']:.3f}, at least {limits.min_iou_p5:g} is wanted",
        "box": f"box IoU p5 is {figures.box_iou['p5']:.3f}, at least {limits.min_box_iou_p5:g} is wanted",
        "score": f"score shift p95 is {figures.score_shift['p95']:.3f}, allowed {limits.max_score_shift:g}",
    }
    for name, text in said.items():
        beyond, allowed = figures.beyond[name], OUTLIERS * figures.matched
        line = f"{text} ({beyond} of {figures.matched} pairs beyond)"
        yield _Reason(weigh(beyond, allowed), line, footage_needed(beyond, allowed))


def _boundary(figures: Figures, allowed: float) -> Iterator[_Reason]:
    share, error = figures.boundary_share, figures.boundary_uncertainty
    if share is None or error is None:
        return
    away = abs(share - allowed)
    settled = away >= QUANTILE * error
    finding: Finding = "open" if not settled else "fine" if share <= allowed else "fault"
    yield _Reason(
        finding,
        f"boundary error is {share:.2%} of the frame's diagonal on average, allowed {allowed:.2%}",
        (QUANTILE * error / away) ** 2 if away else None,
    )
