"""What `streamseg eval-tracks` does: score ids against the truth, of files or of our tracker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as rle_codec

from streamseg.errors import ConfigError, DatasetError
from streamseg.evaluation.track_files import SequenceFile, SequenceFrame, read_sequence_file
from streamseg.evaluation.track_truth import has_masks, scored_frames
from streamseg.evaluation.tracking_scores import TrackedFrame, tracking_scores
from streamseg.files import check_file_writable, write_failure, write_json
from streamseg.masks import COMPARED_CELLS
from streamseg.structures import Instances, Masks
from streamseg.tracking import Tracker, TrackerConfig

__all__ = ["evaluate_tracks", "followed", "paired_files"]

Progress = Callable[[int, int], None]
TRUTH_PLACES = ("gt/gt.txt",)
RESULT_PLACES = ("det/det.txt",)


def evaluate_tracks(
    truth: Path,
    *,
    results: Path | None = None,
    detections: Path | None = None,
    score: float = 0.3,
    fps: float | None = None,
    json: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Figures (docs/eval-tracks.md) of the ids in `results`, or of those that our tracker gives `detections`.

    Each is a file, or a folder with a file for each sequence of the folder `truth`. `score`: from where on a
    detection is shown; `fps`: the rate of detections without times. `json`: a file for the figures.

    Raises DatasetError, ConfigError, SinkError.
    """
    given = results or detections
    if given is None or (results and detections):
        raise ConfigError("eval-tracks: give either --results or --detections")
    if json:
        check_file_writable(json)
    pairs = paired_files(truth, given)
    of_sequence: dict[str, list[TrackedFrame]] = {}
    with_masks = True
    for done, (name, (true_path, path)) in enumerate(pairs.items()):
        progress(done, len(pairs))
        there, found = read_sequence_file(true_path), read_sequence_file(path)
        if detections:
            found = followed(found, TrackerConfig.for_score_threshold(score), fps or found.fps or there.fps)
        of_sequence[name] = scored_frames(there, found)
        with_masks &= has_masks(there) and has_masks(found)
    progress(len(pairs), len(pairs))
    figures = _figures(of_sequence, with_masks)
    if json:
        try:
            write_json(json, figures)
        except OSError as error:
            raise write_failure(json, error) from error
    return figures


def _figures(of_sequence: Mapping[str, Sequence[TrackedFrame]], with_masks: bool) -> dict[str, Any]:
    each = {name: tracking_scores({name: frames}, with_masks) for name, frames in of_sequence.items()}
    return {
        "compared": "masks" if with_masks else "boxes",
        "all": _rounded(tracking_scores(of_sequence, with_masks)),
        "sequences": {name: _rounded(scores) for name, scores in each.items()},
    }


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in scores.items()}


def paired_files(truth: Path, given: Path) -> dict[str, tuple[Path, Path]]:
    """Truth and the file to it, by sequence: two files, or two folders with NAME.txt, NAME.jsonl or, as
    MOTChallenge has them, NAME/gt/gt.txt and NAME/det/det.txt. Raises DatasetError where one is missing."""
    if truth.is_file() != given.is_file() or not (truth.exists() and given.exists()):
        raise DatasetError(f"{truth}, {given}: name two files that are there, or two folders of sequences")
    if truth.is_file():
        return {truth.stem: (truth, given)}
    names = sorted({path.stem if path.is_file() else path.name for path in truth.iterdir()})
    pairs = {}
    for name in names:
        there = _found(truth, name, TRUTH_PLACES)
        if there is None:
            continue
        found = _found(given, name, RESULT_PLACES)
        if found is None:
            raise DatasetError(
                f"{given}: no {name}.txt, {name}.jsonl or {name}/{RESULT_PLACES[0]} for {there}"
            )
        pairs[name] = there, found
    if not pairs:
        raise DatasetError(
            f"{truth}: no sequence in it; it needs NAME.txt, NAME.jsonl or NAME/{TRUTH_PLACES[0]}"
        )
    return pairs


def _found(folder: Path, name: str, inside: Sequence[str]) -> Path | None:
    places = [folder / f"{name}.{ending}" for ending in ("txt", "jsonl", "rec")]
    places += [folder / name / place for place in inside]
    return next((path for path in places if path.is_file()), None)


def followed(file: SequenceFile, config: TrackerConfig, fps: float | None = None) -> SequenceFile:
    """`file` with the ids that our tracker gives its rows, whatever ids they had.

    Times are the file's own, else frame number / `fps`. Raises DatasetError where neither is known.
    """
    if not file.times and not fps:
        raise DatasetError(f"{file.path}: does not say when its frames are; give --fps")
    tracker = Tracker(replace(config, nominal_step_seconds=1 / fps) if fps else config)
    frames: dict[int, SequenceFrame] = {}
    for k in sorted(file.times) if file.times else range(file.length):
        seen = file.frames.get(k)
        instances = _instances(file, seen)
        time = file.times[k] if file.times else k / (fps or 1)
        tracks = tracker.update(instances, time)
        if seen is not None:
            frames[k] = replace(seen, ids=tracks.id)
    return replace(file, frames=frames)


def _instances(file: SequenceFile, frame: SequenceFrame | None) -> Instances:
    """The rows of a frame as an engine would give them; classes are numbered by name."""
    height, width = file.frame_hw or (1, 1)
    if frame is None:
        return Instances.empty((height, width))
    names = sorted({name for other in file.frames.values() for name in other.class_names})
    xyxy = frame.xyxy.astype(np.float32)
    return Instances(
        xyxy,
        frame.score.astype(np.float32),
        np.array([names.index(name) for name in frame.class_names], np.int32),
        _masks(frame, (height, width)),
    )


def _masks(frame: SequenceFrame, frame_hw: tuple[int, int]) -> Masks:
    """On a grid as coarse as networks': shares of cells that are covered."""
    height, width = frame_hw
    if frame.rles is None:
        return Masks(np.zeros((len(frame.ids), 1, 1), np.uint8), (float(width), float(height)), frame_hw)
    side = max(1.0, max(frame_hw) / COMPARED_CELLS)
    grid = max(round(width / side), 1), max(round(height / side), 1)
    soft = [cv2.resize(255 * rle_codec.decode(rle), grid, interpolation=cv2.INTER_AREA) for rle in frame.rles]
    return Masks(np.stack(soft).astype(np.uint8), (width / grid[0], height / grid[1]), frame_hw)
