"""What of a sequence is scored, and how well each result fits each object: MOTChallenge's and MOTS' rules.

The same as TrackEval's `MotChallenge2DBox` and `MOTSChallenge` do while they read their folders; that is
tested against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_codec
from scipy.optimize import linear_sum_assignment

from streamseg.errors import DatasetError
from streamseg.evaluation.boundary_iou import region_from_rle
from streamseg.evaluation.track_files import SequenceFile, SequenceFrame
from streamseg.evaluation.tracking_scores import TrackedFrame
from streamseg.geometry import box_iou

__all__ = ["has_masks", "scored_frames"]

Rles = Sequence[Mapping[str, Any]]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PEDESTRIAN = ("1", "")
DISTRACTORS = ("2", "7", "8", "12")
"""Person on vehicle, static person, distractor, reflection; what is found there counts as nothing."""
MOT20_DISTRACTORS = (*DISTRACTORS, "6")
IGNORED_REGION = "10"
"""MOTS' class of regions in which nothing is annotated."""
_JUST_HALF = 0.5 - np.finfo(float).eps

_EMPTY = SequenceFrame(np.zeros(0, np.int64), (), np.zeros(0), np.zeros((0, 4)), None)


def scored_frames(
    truth: SequenceFile, results: SequenceFile, frames: Sequence[int] | None = None
) -> list[TrackedFrame]:
    """Every frame of `truth`, or those at `frames`, with the results that count there.

    Masks are compared where both files have them, boxes else. Of our JSON Lines, whose masks may overlap,
    each pixel goes to the surer instance first. Rows without an id are left out. Where both files are
    MOTS, or both ours, classes must agree, and results of classes that the truth never has are left out.
    Raises DatasetError where the files do not fit each other.
    """
    with_masks = has_masks(truth) and has_masks(results)
    if with_masks and truth.frame_hw != results.frame_hw:
        raise DatasetError(
            f"{results.path}: masks of {results.frame_hw} (height, width), those of {truth.path} are of "
            f"{truth.frame_hw}; take results of that very video"
        )
    late = max(results.frames, default=0)
    if late >= truth.length:
        raise DatasetError(
            f"{results.path}: has a frame {late}, counted from 0, of {truth.length} of {truth.path}; take "
            "results of that very sequence"
        )
    known: set[str] | None = None
    if truth.kind == results.kind != "mot":
        known = {name for frame in truth.frames.values() for name in frame.class_names}
    return [
        _scored(truth, truth.frames.get(k, _EMPTY), results, results.frames.get(k, _EMPTY), with_masks, known)
        for k in (range(truth.length) if frames is None else frames)
    ]


def has_masks(file: SequenceFile) -> bool:
    """Whether there is anything in the file, and all of it has masks."""
    return bool(file.frames) and all(frame.rles is not None for frame in file.frames.values())


def _scored(
    truth: SequenceFile,
    there: SequenceFrame,
    results: SequenceFile,
    found: SequenceFrame,
    with_masks: bool,
    known: set[str] | None,
) -> TrackedFrame:
    named = np.array([known is None or name in known for name in found.class_names], np.bool_)
    counted = np.flatnonzero((found.ids >= 0) & named)
    objects = np.flatnonzero([name != IGNORED_REGION or truth.kind != "mots" for name in there.class_names])
    there_rles, found_rles = there.rles or (), found.rles or ()
    if with_masks:
        found_masks = _disjoint(found_rles, found.score, results.kind)
        there_masks = _disjoint(there_rles, there.score, truth.kind)
        similarity = _mask_iou(_at(there_masks, objects), _at(found_masks, counted))
    else:
        similarity = box_iou(there.xyxy[objects], found.xyxy[counted])
    if known is not None:
        similarity = np.where(_same_class(there, objects, found, counted), similarity, 0.0)
    keep = np.ones(len(counted), np.bool_)
    judged = there.ids[objects] >= 0
    if truth.kind == "mot":
        classes = [there.class_names[k] for k in objects]
        judged &= (there.score[objects] != 0) & np.isin(classes, PEDESTRIAN)
        keep = ~_on_distractors(truth, classes, similarity)
    elif truth.kind == "mots" and with_masks:
        regions = [there_rles[k] for k, name in enumerate(there.class_names) if name == IGNORED_REGION]
        keep = ~_ignored(similarity, _at(found_masks, counted), regions)
    return TrackedFrame(there.ids[objects][judged], found.ids[counted][keep], similarity[judged][:, keep])


def _at(rles: Rles, rows: NDArray[np.intp]) -> Rles:
    return [rles[k] for k in rows.tolist()]


def _same_class(there: SequenceFrame, objects: Any, found: SequenceFrame, counted: Any) -> Bools:
    """(M, N) whether object and result are of one class."""
    mine = np.array([there.class_names[k] for k in objects], np.str_)
    theirs = np.array([found.class_names[k] for k in counted], np.str_)
    same: Bools = mine[:, None] == theirs
    return same


def _on_distractors(truth: SequenceFile, classes: Sequence[str], similarity: Floats) -> Bools:
    """(N,) results that fit an object which is not to be found."""
    distractors = MOT20_DISTRACTORS if truth.name.startswith("MOT20") else DISTRACTORS
    rows, columns = _matched(similarity)
    hit = np.isin(np.array(classes, np.str_)[rows], distractors)
    out = np.zeros(similarity.shape[1], np.bool_)
    out[columns[hit]] = True
    return out


def _matched(similarity: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs, one to one, with the highest sum of similarities, each of at least one half."""
    scores = np.where(similarity < _JUST_HALF, 0.0, similarity)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    kept = scores[rows, columns] > 0
    return rows[kept], columns[kept]


def _ignored(similarity: Floats, masks: Rles, regions: Rles) -> Bools:
    """(N,) results of no object that lie for more than half in a region where nothing is annotated."""
    out = np.ones(len(masks), np.bool_)
    out[_matched(similarity)[1]] = False
    if not regions or not len(masks):
        return out & False
    region = rle_codec.merge(list(regions))
    # As of a crowd: intersection over the result's own area.
    share = np.asarray(rle_codec.iou(list(masks), [region], [1])).reshape(-1)
    return out & (share > 1 - _JUST_HALF)


def _mask_iou(truth: Rles, found: Rles) -> Floats:
    if not truth or not found:
        return np.zeros((len(truth), len(found)))
    return np.asarray(rle_codec.iou(list(truth), list(found), [0] * len(found)), np.float64)


def _disjoint(rles: Rles, score: Floats, kind: str) -> Rles:
    """The masks, each pixel the surest instance's only; those of MOTS are so by that format's rules."""
    if kind != "jsonl" or len(rles) < 2:
        return rles
    owner = np.zeros(rles[0]["size"], np.int32)
    for k in np.argsort(score, kind="stable"):
        (x, y), bits = region_from_rle(rles[k])
        owner[y : y + bits.shape[0], x : x + bits.shape[1]][bits] = k + 1
    return [rle_codec.encode(np.asfortranarray(owner == k + 1, np.uint8)) for k in range(len(rles))]
