"""How one engine's instances differ from another's, frame by frame and over a whole clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from streamseg.certification.instance_match import Matching, match_instances
from streamseg.evaluation.boundary import boundary_error_px
from streamseg.masks import Region
from streamseg.structures import Instances

__all__ = ["ClassFigures", "Comparison", "Figures", "FrameComparison", "compare_frame", "difference"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FrameComparison:
    """One frame. Instances without any pixel are left out of both sides before they are matched."""

    reference: Instances
    candidate: Instances
    matching: Matching
    boundary_px: Floats
    """(P,) per pair, as `boundary_error_px`."""
    score: float
    """What needs a partner scores at least this."""
    maskless: int
    """Instances of the reference that reach the score and have no pixel."""

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
        """For ranking: one for each wrong instance, and what each pair lacks of IoU 1."""
        return self.wrong + float((1 - self.matching.iou).sum())


def compare_frame(reference: Instances, candidate: Instances, score: float) -> FrameComparison:
    """Compare what two engines found in one frame; both should list somewhat less than `score` too.

    See `match_instances`.
    """
    masks_r, masks_c = reference.pixels, candidate.pixels
    seen_r, seen_c = np.array(masks_r.areas, int) > 0, np.array(masks_c.areas, int) > 0
    regions_r = [masks_r.regions[k] for k in np.flatnonzero(seen_r)]
    regions_c = [masks_c.regions[k] for k in np.flatnonzero(seen_c)]
    maskless = int(np.count_nonzero(reference.score[~seen_r] >= score))
    reference, candidate = reference.select(seen_r), candidate.select(seen_c)
    matching = match_instances(reference, candidate, regions_r, regions_c, score)
    boundary = [boundary_error_px(regions_r[i], regions_c[j]) for i, j in matching.pairs.tolist()]
    return FrameComparison(reference, candidate, matching, np.array(boundary, float), score, maskless)


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
    boundary_px: dict[str, float] | None
    """p95, mean of the pairs' boundary error in pixels of the frame."""
    boundary_share: float | None
    """The mean of the same as a share of the frame's diagonal."""
    score_shift: dict[str, float] | None
    """mean (candidate − reference), p95 and max of its absolute value."""
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

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self._frames: list[_Columns] = []

    def add(self, frame: FrameComparison) -> None:
        """One frame more; its masks are not kept."""
        self._frames.append(_columns(frame))

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
            boundary_px=_quantiles(total.boundary_px, 95),
            boundary_share=float(total.boundary_share.mean()) if len(total.boundary_share) else None,
            score_shift=_shift(total.score_shift),
            class_changes=self._changes(total.changed),
            classes=tuple(sorted(rows, key=lambda row: -row.due)),
        )

    def _changes(self, changed: NDArray[np.int64]) -> dict[str, int]:
        found, times = np.unique(changed, axis=0, return_counts=True)
        names = [f"{self.class_names[a]} → {self.class_names[b]}" for a, b in found.tolist()]
        return dict(sorted(zip(names, times.tolist(), strict=True), key=lambda item: -item[1]))


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What a frame leaves behind: class ids of each outcome, values per pair, three counts."""

    matched: NDArray[np.int64]
    missed: NDArray[np.int64]
    extra: NDArray[np.int64]
    changed: NDArray[np.int64]
    """(Q, 2) the reference's class, the candidate's."""
    strong: NDArray[np.int64]
    """(P, 2) 1 where the reference, the candidate reaches the score."""
    iou: Floats
    boundary_px: Floats
    boundary_share: Floats
    score_shift: Floats
    counts: NDArray[np.int64]
    """(1, 3) instances of the reference and of the candidate that reach the score; those without a pixel."""


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
        boundary_px=frame.boundary_px,
        boundary_share=frame.boundary_px / math.hypot(*reference.masks.frame_hw),
        score_shift=both[:, 1] - both[:, 0],
        counts=np.array([[*counts, frame.maskless]], np.int64),
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


def _shift(values: Floats) -> dict[str, float] | None:
    if not len(values):
        return None
    size = np.abs(values)
    p95 = float(np.percentile(size, 95))
    return {"mean": float(values.mean()), "p95": p95, "max": float(size.max())}
