"""How one engine's instances differ from another's, frame by frame and over a whole clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from streamseg.certification.instance_match import Matching, match_instances
from streamseg.certification.probes import Nearer
from streamseg.certification.thresholds import Thresholds
from streamseg.evaluation.boundary import boundary_error_px
from streamseg.geometry import box_iou
from streamseg.masks import Region
from streamseg.structures import Instances

__all__ = [
    "ClassFigures",
    "Comparison",
    "Figures",
    "FrameComparison",
    "PairLimit",
    "compare_frame",
    "difference",
    "moved_boxes",
]

Floats = NDArray[np.float64]
Boxes = NDArray[np.float32]
PairLimit = Literal["mask", "box", "score"]
"""What each pair has a limit for."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameComparison:
    """One frame. Instances without any pixel are left out of both sides before they are matched."""

    reference: Instances
    candidate: Instances
    matching: Matching
    boundary_px: Floats
    """(P,) per pair, as `boundary_error_px`."""
    box_iou: Floats
    """(P,) of the pairs' boxes, as the engines gave them: no mask has a part in it."""
    box_px: Floats
    """(P,) largest distance between equal sides of the two boxes, pixels of the frame."""
    score: float
    """What needs a partner scores at least this."""
    maskless: int
    """Instances of the reference that reach the score and have no pixel."""
    weak: tuple[int, int]
    """Instances below the score that a tracker still uses: of the reference, of the candidate."""

    @property
    def score_shift(self) -> Floats:
        """(P,) candidate − reference."""
        rows, columns = self.matching.pairs.T
        shift: Floats = self.candidate.score[columns].astype(float) - self.reference.score[rows]
        return shift

    @property
    def wrong(self) -> int:
        """Instances missed, extra, or of another class."""
        return sum(map(len, (self.matching.missed, self.matching.extra, self.matching.changed)))

    @property
    def judged(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(N,), (M,) bool: rows of reference and candidate that reach the score or have a partner."""
        reference, candidate = self.reference.score >= self.score, self.candidate.score >= self.score
        partners = np.concatenate([self.matching.pairs, self.matching.changed])
        reference[partners[:, 0]] = True
        candidate[partners[:, 1]] = True
        return reference, candidate

    @property
    def badness(self) -> float:
        """How far apart the two are: one for each wrong instance, what each pair's masks and boxes lack of
        IoU 1, and its score shift."""
        lacking = (1 - self.matching.iou).sum() + (1 - self.box_iou).sum()
        return self.wrong + float(lacking + np.abs(self.score_shift).sum())


def compare_frame(
    reference: Instances,
    candidate: Instances,
    score: float,
    *,
    partner_score: float = 0.0,
    weak_score: float = math.inf,
) -> FrameComparison:
    """Compare what two engines found in one frame; both should list somewhat less than `score` too.

    What reaches `score` needs a partner of at least `partner_score`, see `match_instances`. Instances from
    `weak_score` up to `score` are counted.
    """
    sides = reference, candidate
    weak = [int(np.count_nonzero((s.score >= weak_score) & (s.score < score))) for s in sides]
    reference, candidate = (side.select(side.score >= partner_score) for side in sides)
    masks_r, masks_c = reference.pixels, candidate.pixels
    seen_r, seen_c = np.array(masks_r.areas, int) > 0, np.array(masks_c.areas, int) > 0
    regions_r = [masks_r.regions[k] for k in np.flatnonzero(seen_r)]
    regions_c = [masks_c.regions[k] for k in np.flatnonzero(seen_c)]
    maskless = int(np.count_nonzero(reference.score[~seen_r] >= score))
    reference, candidate = reference.select(seen_r), candidate.select(seen_c)
    matching = match_instances(reference, candidate, regions_r, regions_c, score)
    boundary = [boundary_error_px(regions_r[i], regions_c[j]) for i, j in matching.pairs.tolist()]
    boxes = reference.xyxy[matching.pairs[:, 0]], candidate.xyxy[matching.pairs[:, 1]]
    return FrameComparison(
        reference,
        candidate,
        matching,
        np.array(boundary, float),
        box_iou=np.diag(box_iou(*boxes)),
        box_px=np.abs(boxes[0] - boxes[1]).max(axis=1, initial=0).astype(float),
        score=score,
        maskless=maskless,
        weak=(weak[0], weak[1]),
    )


def difference(frame: FrameComparison) -> NDArray[np.bool_]:
    """(H, W) bool: pixels that belong to an instance on one side only, wrong instances whole."""
    regions_r, regions_c = frame.reference.pixels.regions, frame.candidate.pixels.regions
    differs = np.zeros(frame.reference.masks.frame_hw, np.bool_)
    for i, j in frame.matching.pairs.tolist():
        pair = np.zeros_like(differs)
        _within(pair, regions_r[i])[...] = regions_r[i].bits
        _within(pair, regions_c[j])[...] ^= regions_c[j].bits
        differs |= pair
    lonely = [regions_r[i] for i in (*frame.matching.missed, *frame.matching.changed[:, 0])]
    for region in (*lonely, *(regions_c[j] for j in frame.matching.extra)):
        _within(differs, region)[...] |= region.bits
    return differs


def moved_boxes(frame: FrameComparison, thresholds: Thresholds) -> tuple[Boxes, Boxes]:
    """(n, 4), (n, 4) boxes of the reference and the candidate in pairs whose boxes are beyond the limit."""
    beyond = frame.matching.pairs[frame.box_iou < thresholds.min_box_iou_p5]
    return frame.reference.xyxy[beyond[:, 0]], frame.candidate.xyxy[beyond[:, 1]]


def _within(canvas: NDArray[np.bool_], region: Region) -> NDArray[np.bool_]:
    (x, y), (height, width) = region.origin_xy, region.bits.shape
    return canvas[y : y + height, x : x + width]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class; `changed` by the class that the reference saw."""

    name: str
    matched: int
    missed: int
    extra: int
    changed: int

    @property
    def due(self) -> int:
        """Instances for which the candidate was to have one."""
        return self.matched + self.missed + self.changed


@dataclass(frozen=True, slots=True)
class Figures:
    """All frames. Quantiles are over matched pairs; None where there are none."""

    frames: int
    reference: int
    """Instances of the reference that reach the score."""
    candidate: int
    """The same of the candidate."""
    maskless: int
    """Instances of the reference without a pixel, left out."""
    matched: int
    """Pairs of one class of which at least one reaches the score."""
    missed: int
    extra: int
    changed: int
    """One mask, two classes."""
    fell_below: int
    """Pairs that only the reference has at the score or above: near ties, which are no misses."""
    rose_above: int
    """Pairs that only the candidate has there."""
    iou: dict[str, float] | None
    """p1, p5, p50, mean of the mask IoU."""
    box_iou: dict[str, float] | None
    """The same of the box IoU."""
    box_px: dict[str, float] | None
    """p95, mean of the largest distance between equal sides of a pair's boxes in pixels of the frame."""
    boundary_px: dict[str, float] | None
    """p95, mean of the pairs' boundary error in pixels of the frame."""
    boundary_share: float | None
    """The mean of the same as a share of the frame's diagonal."""
    boundary_uncertainty: float | None
    """Standard error of that share; None with fewer than two pairs."""
    score_shift: dict[str, float] | None
    """mean (candidate − reference), p95 and max of its absolute value."""
    beyond: dict[PairLimit, int]
    """Pairs beyond the thresholds of mask IoU, box IoU and score shift."""
    weak_reference: int
    """Instances of the reference below the score that a tracker still uses."""
    weak_candidate: int
    """The same of the candidate."""
    nearer: tuple[Nearer, ...]
    """For each altered picture that was tried."""
    class_changes: dict[str, int]
    """`cat → dog` and how often."""
    classes: tuple[ClassFigures, ...]
    """Those that occur, the most frequent first."""

    @property
    def due(self) -> int:
        """Instances for which the candidate was to have one: matched, missed and changed."""
        return self.matched + self.missed + self.changed


class Comparison:
    """Adds up frames."""

    def __init__(self, class_names: Sequence[str], thresholds: Thresholds) -> None:
        """`thresholds` say which pairs are counted as beyond them."""
        self.class_names = tuple(class_names)
        self._thresholds = thresholds
        self._frames: list[_Columns] = []
        self._nearer: dict[str, Nearer] = {}

    def add(self, frame: FrameComparison) -> None:
        """One frame more; its masks are not kept."""
        self._frames.append(_columns(frame))

    def add_probe(self, name: str, here: FrameComparison, there: FrameComparison) -> None:
        """The same frame and candidate twice: with the reference's results of the frame, and of the frame
        altered as `name` says."""
        known = self._nearer.get(name, Nearer(name, 0, 0))
        differs, nearer = here.badness != there.badness, there.badness < here.badness
        self._nearer[name] = Nearer(name, known.frames + differs, known.nearer + nearer)

    def without(self, frame: int) -> Comparison:
        """The same but for one frame, 0-based: what hangs on it. Altered pictures stay counted."""
        other = Comparison(self.class_names, self._thresholds)
        other._nearer = dict(self._nearer)
        other._frames = [*self._frames[:frame], *self._frames[frame + 1 :]]
        return other

    def figures(self) -> Figures:
        """What is known so far."""
        n = len(self.class_names)
        total = _joined(self._frames)
        matched, missed, extra, changed = (
            np.bincount(ids, minlength=n)
            for ids in (total.matched, total.missed, total.extra, total.changed[:, 0])
        )
        strong_r, strong_c = total.strong[:, 0] > 0, total.strong[:, 1] > 0
        rows = [
            ClassFigures(name, int(matched[k]), int(missed[k]), int(extra[k]), int(changed[k]))
            for k, name in enumerate(self.class_names)
            if matched[k] + missed[k] + extra[k] + changed[k]
        ]
        return Figures(
            frames=len(self._frames),
            reference=int(total.counts[:, 0].sum()),
            candidate=int(total.counts[:, 1].sum()),
            maskless=int(total.counts[:, 2].sum()),
            matched=len(total.matched),
            missed=len(total.missed),
            extra=len(total.extra),
            changed=len(total.changed),
            fell_below=int(np.count_nonzero(strong_r & ~strong_c)),
            rose_above=int(np.count_nonzero(strong_c & ~strong_r)),
            iou=_quantiles(total.iou, 1, 5, 50),
            box_iou=_quantiles(total.box_iou, 1, 5, 50),
            box_px=_quantiles(total.box_px, 95),
            boundary_px=_quantiles(total.boundary_px, 95),
            boundary_share=float(total.boundary_share.mean()) if len(total.boundary_share) else None,
            boundary_uncertainty=_standard_error(total.boundary_share),
            score_shift=_shift(total.score_shift),
            beyond=self._beyond(total),
            weak_reference=int(total.counts[:, 3].sum()),
            weak_candidate=int(total.counts[:, 4].sum()),
            nearer=tuple(self._nearer.values()),
            class_changes=self._changes(total.changed),
            classes=tuple(sorted(rows, key=lambda row: -row.due)),
        )

    def _beyond(self, total: _Columns) -> dict[PairLimit, int]:
        limits = self._thresholds
        counted = (
            total.iou < limits.min_iou_p5,
            total.box_iou < limits.min_box_iou_p5,
            np.abs(total.score_shift) > limits.max_score_shift,
        )
        names: tuple[PairLimit, ...] = get_args(PairLimit)
        return {name: int(np.count_nonzero(rows)) for name, rows in zip(names, counted, strict=True)}

    def _changes(self, changed: NDArray[np.int64]) -> dict[str, int]:
        found, times = np.unique(changed, axis=0, return_counts=True)
        names = [f"{self.class_names[a]} → {self.class_names[b]}" for a, b in found.tolist()]
        return dict(sorted(zip(names, times.tolist(), strict=True), key=lambda item: -item[1]))


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What a frame leaves behind: class ids of each outcome, values per pair, counts."""

    matched: NDArray[np.int64]
    missed: NDArray[np.int64]
    extra: NDArray[np.int64]
    changed: NDArray[np.int64]
    """(Q, 2) the reference's class, the candidate's."""
    strong: NDArray[np.int64]
    """(P, 2) 1 where the reference, the candidate reaches the score."""
    iou: Floats
    box_iou: Floats
    box_px: Floats
    boundary_px: Floats
    boundary_share: Floats
    score_shift: Floats
    counts: NDArray[np.int64]
    """(1, 5) instances of the reference and of the candidate that reach the score; those without a pixel;
    weak ones of the reference and of the candidate."""


def _columns(frame: FrameComparison) -> _Columns:
    reference, candidate, matching = frame.reference, frame.candidate, frame.matching
    rows, columns = matching.pairs.T
    both = np.stack([reference.score[rows], candidate.score[columns]], axis=1).astype(float)
    renamed = [reference.class_id[matching.changed[:, 0]], candidate.class_id[matching.changed[:, 1]]]
    counts = [np.count_nonzero(side.score >= frame.score) for side in (reference, candidate)]
    return _Columns(
        matched=reference.class_id[rows].astype(np.int64),
        missed=reference.class_id[matching.missed].astype(np.int64),
        extra=candidate.class_id[matching.extra].astype(np.int64),
        changed=np.stack(renamed, axis=1).astype(np.int64),
        strong=(both >= np.float32(frame.score)).astype(np.int64),
        iou=matching.iou,
        box_iou=frame.box_iou,
        box_px=frame.box_px,
        boundary_px=frame.boundary_px,
        boundary_share=frame.boundary_px / math.hypot(*reference.masks.frame_hw),
        score_shift=frame.score_shift,
        counts=np.array([[*counts, frame.maskless, *frame.weak]], np.int64),
    )


def _joined(frames: list[_Columns]) -> _Columns:
    """All frames as one; raises ValueError without any."""
    names = [column.name for column in fields(_Columns)]
    return _Columns(*(np.concatenate([getattr(frame, name) for frame in frames]) for name in names))


def _quantiles(values: Floats, *percents: int) -> dict[str, float] | None:
    if not len(values):
        return None
    quantiles = {f"p{p}": float(np.percentile(values, p)) for p in percents}
    return quantiles | {"mean": float(values.mean())}


def _standard_error(values: Floats) -> float | None:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def _shift(values: Floats) -> dict[str, float] | None:
    if not len(values):
        return None
    size = np.abs(values)
    p95 = float(np.percentile(size, 95))
    return {"mean": float(values.mean()), "p95": p95, "max": float(size.max())}
