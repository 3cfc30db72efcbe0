"""Accuracy and speed of the tracker, as one JSON.

    python benchmarks/tracking.py [--mot15 FOLDER] [--repeats N]

Accuracy: the sequences of MOTChallenge 2015 found under FOLDER (gt/gt.txt, det/det_frcnn.txt, seqinfo.ini),
scored by TrackEval (extra `models`) on the detection's and on the filtered box, with every frame, with
two of three frames lost, and with bursts of five lost. Timestamps are those of the frames that are left;
the source's own rate is first left to be estimated, then told.
Speed: boxes and masks moving over 1280x720, 5 % of them missed in each frame, median of one update.
"""

from __future__ import annotations

import argparse
import configparser
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.evaluation.tracking_scores import TrackedFrame, tracking_scores
from streamseg.geometry import box_iou
from streamseg.structures import Instances, Masks
from streamseg.tracking import Tracker, TrackerConfig

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = list[tuple[Ints, Floats]]
"""Ids and boxes of every frame."""
MODES = ("all", "every3", "burst5")


@dataclass(frozen=True)
class Sequence15:
    """One MOT15 sequence: ids and boxes of the truth, scores and boxes of the detector, by frame."""

    name: str
    fps: float
    frame_hw: tuple[int, int]
    truth: Rows
    detections: list[tuple[Floats, Floats]]


def read_sequence(folder: Path) -> Sequence15:
    """The sequence in `folder`; rows of the truth that are marked as not to be scored are left out."""
    info = configparser.ConfigParser()
    info.read(folder / "seqinfo.ini")
    about = info["Sequence"]
    length = int(about["seqLength"])
    truth = np.loadtxt(folder / "gt/gt.txt", delimiter=",", ndmin=2)
    truth = truth[truth[:, 6] > 0]
    found = np.loadtxt(folder / "det/det_frcnn.txt", delimiter=",", ndmin=2)
    for rows in (truth, found):
        rows[:, 4:6] += rows[:, 2:4]
    frames = range(1, length + 1)
    return Sequence15(
        folder.name,
        float(about["frameRate"]),
        (int(about["imHeight"]), int(about["imWidth"])),
        [(rows[:, 1].astype(np.int64), rows[:, 2:6]) for rows in (truth[truth[:, 0] == f] for f in frames)],
        [(rows[:, 6], rows[:, 2:6]) for rows in (found[found[:, 0] == f] for f in frames)],
    )


def frames_seen(length: int, mode: str) -> list[int]:
    """Frames that are left of 0…length-1."""
    if mode == "all":
        return list(range(length))
    if mode == "every3":
        return list(range(0, length, 3))
    seen: list[int] = []
    random, at = np.random.RandomState(0), 0
    while at < length:
        run = int(random.randint(8, 20))
        seen += range(at, min(at + run, length))
        at += run + 5
    return seen


def instances_of(score: Floats, xyxy: Floats, frame_hw: tuple[int, int]) -> Instances:
    """Boxes without masks."""
    n = len(score)
    masks = Masks(np.zeros((n, 1, 1), np.uint8), (frame_hw[1], frame_hw[0]), frame_hw)
    return Instances(xyxy.astype(np.float32), score.astype(np.float32), np.zeros(n, np.int32), masks)


def track(sequence: Sequence15, seen: Sequence[int], config: TrackerConfig) -> tuple[Rows, Rows]:
    """Ids with the detections' boxes, and with the filtered boxes."""
    tracker = Tracker(config)
    detected, filtered = [], []
    for frame in seen:
        instances = instances_of(*sequence.detections[frame], sequence.frame_hw)
        tracks = tracker.update(instances, frame / sequence.fps)
        known = tracks.id > 0
        detected.append((tracks.id[known], instances.xyxy[known].astype(np.float64)))
        filtered.append((tracks.id[known], tracks.xyxy[known].astype(np.float64)))
    return detected, filtered


def score(truths: dict[str, Rows], results: dict[str, Rows]) -> dict[str, float]:
    """Per cent, and ID switches, of boxes, over all sequences."""
    sequences = {
        name: [
            TrackedFrame(true_ids, ids, box_iou(true_boxes, boxes))
            for (true_ids, true_boxes), (ids, boxes) in zip(truth, results[name], strict=True)
        ]
        for name, truth in truths.items()
    }
    return {name: round(value, 2) for name, value in tracking_scores(sequences).items()}


Follow = Callable[[Sequence15, Sequence[int]], tuple[Rows, Rows]]


def accuracy(sequences: Sequence[Sequence15], follow: Follow) -> dict[str, dict[str, dict[str, float]]]:
    """Scores by mode and by kind of box."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for mode in MODES:
        truths, detected, filtered = {}, {}, {}
        for sequence in sequences:
            seen = frames_seen(len(sequence.truth), mode)
            truths[sequence.name] = [sequence.truth[frame] for frame in seen]
            detected[sequence.name], filtered[sequence.name] = follow(sequence, seen)
        table[mode] = {"detection_box": score(truths, detected), "filtered_box": score(truths, filtered)}
    return table


def moving(n: int, frames: int, with_masks: bool) -> list[Instances]:
    """`n` ellipses of 40…160 pixels crossing 1280x720 in straight lines, with 5 % misses."""
    random = np.random.default_rng(n)
    centre = random.uniform((0, 0), (1280, 720), (n, 2))
    velocity = random.normal(0, 4, (n, 2))
    half = random.uniform(20, 80, (n, 2))
    grid = 138 if with_masks else 1
    scale = 1280 / grid, 720 / grid
    y, x = np.mgrid[:grid, :grid] + 0.5
    made = []
    for frame in range(frames):
        at = (centre + frame * velocity) % (1280, 720)
        kept = np.flatnonzero(random.random(n) > 0.05)
        soft = np.zeros((len(kept), grid, grid), np.uint8)
        for k, row in enumerate(kept) if with_masks else ():
            (cx, cy), (rx, ry) = at[row], half[row]
            soft[k][((x * scale[0] - cx) / rx) ** 2 + ((y * scale[1] - cy) / ry) ** 2 < 1] = 255
        xyxy = np.concatenate((at - half, at + half), axis=1)[kept].astype(np.float32)
        scores = np.linspace(0.99, 0.4, len(kept), dtype=np.float32)
        made.append(Instances(xyxy, scores, (kept % 3).astype(np.int32), Masks(soft, scale, (720, 1280))))
    return made


def milliseconds(frames: Sequence[Instances], repeats: int) -> dict[str, float]:
    """Median wall and thread-CPU time of an update."""
    wall, cpu = [], []
    for _ in range(repeats):
        tracker = Tracker()
        for k, instances in enumerate(frames):
            begun, begun_cpu = time.perf_counter(), time.thread_time()
            tracker.update(instances, k / 30)
            wall.append(time.perf_counter() - begun)
            cpu.append(time.thread_time() - begun_cpu)
    return {"wall": round(1e3 * float(np.median(wall)), 3), "cpu": round(1e3 * float(np.median(cpu)), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mot15", type=Path, help="folder of MOT15 sequences")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    report: dict[str, Any] = {"python": sys.version.split()[0], "numpy": np.__version__}
    report["milliseconds"] = {
        f"{n}_{'masks' if with_masks else 'boxes'}": milliseconds(moving(n, 60, with_masks), asked.repeats)
        for with_masks in (False, True)
        for n in (20, 50, 100)
    }
    if asked.mot15 is not None:
        folders = sorted(
            folder for folder in asked.mot15.iterdir() if (folder / "det/det_frcnn.txt").exists()
        )
        sequences = [read_sequence(folder) for folder in folders]
        report["sequences"] = [sequence.name for sequence in sequences]
        report["mot15"] = accuracy(sequences, lambda sequence, seen: track(sequence, seen, TrackerConfig()))
        report["mot15_rate_known"] = accuracy(
            sequences,
            lambda sequence, seen: track(
                sequence, seen, TrackerConfig(nominal_step_seconds=1 / sequence.fps)
            ),
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
