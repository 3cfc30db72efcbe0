"""Accuracy and speed of the tracker and of other packages' on the same detections, as one JSON.

    python benchmarks/tracking.py [--mot15 FOLDER] [--peers PYTHON] [--copyleft PYTHON] [--out FILE]

Accuracy: the sequences of MOTChallenge 2015 found under FOLDER (gt/gt.txt, det/det_frcnn.txt, seqinfo.ini):
those looked at while the tracker was made, those held out, and all of them with simulated detections; with
every frame, with two of three lost, and with bursts of five lost. Scored by TrackEval (extra `models`).
Speed: boxes and masks moving over 1280x720, 5 % of them missed in each frame; the median, over frames, of the
fastest of N updates.
PYTHON is that of an environment with `trackers` 2.6, or with ultralytics; neither is a dependency of ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tracking_sequences import HELD_OUT, MODES, BoxSequence, Rows, frames_seen, read_sequence, simulated

from streamseg.evaluation.tracking_scores import TrackedFrame, tracking_scores
from streamseg.geometry import box_iou
from streamseg.structures import Instances, Masks
from streamseg.tracking import Tracker, TrackerConfig

PEERS = Path(__file__).with_name("tracking_peers.py")
COPYLEFT = Path(__file__).with_name("tracking_peers_copyleft.py")
Follow = Callable[[BoxSequence, Sequence[int]], Rows]


def instances_of(score: NDArray[Any], xyxy: NDArray[Any], frame_hw: tuple[int, int]) -> Instances:
    """Boxes without masks."""
    n = len(score)
    masks = Masks(np.zeros((n, 1, 1), np.uint8), (frame_hw[1], frame_hw[0]), frame_hw)
    return Instances(xyxy.astype(np.float32), score.astype(np.float32), np.zeros(n, np.int32), masks)


def ours(sequence: BoxSequence, seen: Sequence[int], *, told: bool = True, smoothed: bool = False) -> Rows:
    """Ids with the detections' boxes, or with the filtered ones; `told`: the source's rate is configured."""
    tracker = Tracker(TrackerConfig(nominal_step_seconds=1 / sequence.fps if told else None))
    made: Rows = []
    for frame in seen:
        instances = instances_of(*sequence.detections[frame], sequence.frame_hw)
        tracks = tracker.update(instances, frame / sequence.fps)
        known = tracks.id > 0
        boxes = tracks.xyxy if smoothed else instances.xyxy
        made.append((tracks.id[known], boxes[known].astype(np.float64)))
    return made


OURS: dict[str, Follow] = {
    "streamseg": ours,
    "streamseg, rate not told": partial(ours, told=False),
    "streamseg, smoothed box": partial(ours, smoothed=True),
}


def others(
    python: str,
    sequences: Sequence[BoxSequence],
    seen: Sequence[Sequence[int]],
    script: Path = PEERS,
    masks: Mapping[str, Any] | None = None,
) -> dict[str, list[Rows]]:
    """Ids with the detections' boxes by every tracker that `script` finds in the environment of `python`, by
    sequence. `masks` is what it is to be given besides boxes."""
    given: dict[str, Any] = {"fps": np.array([sequence.fps for sequence in sequences]), **(masks or {})}
    for k, (sequence, frames) in enumerate(zip(sequences, seen, strict=True)):
        found = [sequence.detections[frame] for frame in frames]
        given[f"seen{k}"] = np.array(frames)
        given[f"frame{k}"] = np.repeat(frames, [len(score) for score, _ in found])
        given[f"score{k}"] = np.concatenate([score for score, _ in found])
        given[f"box{k}"] = np.concatenate([boxes for _, boxes in found])
    with tempfile.TemporaryDirectory() as folder:
        there, back = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(there, **given)
        subprocess.run([python, str(script), str(there), str(back)], check=True)
        ids = dict(np.load(back))
    names = sorted({key.split("|")[0] for key in ids if "|" in key})
    return {
        name: [_rows(ids[f"{name}|{k}"], given, k, frames) for k, frames in enumerate(seen)] for name in names
    }


def _rows(ids: NDArray[np.int64], given: dict[str, Any], k: int, frames: Sequence[int]) -> Rows:
    of_frame, boxes = given[f"frame{k}"], given[f"box{k}"]
    here = [(of_frame == frame) & (ids >= 0) for frame in frames]
    return [(ids[rows], boxes[rows]) for rows in here]


def scores(truths: dict[str, Rows], results: dict[str, Rows]) -> dict[str, float]:
    """Per cent, and ID switches, of boxes, over all sequences."""
    sequences = {
        name: [
            TrackedFrame(true_ids, ids, box_iou(true_boxes, boxes))
            for (true_ids, true_boxes), (ids, boxes) in zip(truth, results[name], strict=True)
        ]
        for name, truth in truths.items()
    }
    return {name: round(value, 2) for name, value in tracking_scores(sequences).items()}


Scores = dict[str, dict[str, dict[str, dict[str, float]]]]


def accuracy(
    groups: Mapping[str, Sequence[str]],
    sequences: Sequence[BoxSequence],
    peers: str | None,
    copyleft: str | None,
) -> Scores:
    """Scores by group of names of `sequences`, mode and tracker."""
    table: Scores = {group: {} for group in groups}
    for mode in MODES:
        seen = [frames_seen(len(sequence.truth), mode) for sequence in sequences]
        made = {
            name: [follow(sequence, frames) for sequence, frames in zip(sequences, seen, strict=True)]
            for name, follow in OURS.items()
        }
        if peers:
            made |= others(peers, sequences, seen)
        if copyleft:
            made |= others(copyleft, sequences, seen, COPYLEFT)
        for group, names in groups.items():
            at = [k for k, sequence in enumerate(sequences) if sequence.name in names]
            truths = {sequences[k].name: [sequences[k].truth[frame] for frame in seen[k]] for k in at}
            table[group][mode] = {
                name: scores(truths, {sequences[k].name: rows[k] for k in at}) for name, rows in made.items()
            }
        print(f"{mode}: done", file=sys.stderr, flush=True)
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
        score = np.linspace(0.99, 0.4, len(kept), dtype=np.float32)
        made.append(Instances(xyxy, score, (kept % 3).astype(np.int32), Masks(soft, scale, (720, 1280))))
    return made


def milliseconds(frames: Sequence[Instances], repeats: int) -> float:
    """Median over frames of the fastest update: what else runs on the machine slows some, never all."""
    took = np.full((repeats, len(frames)), np.inf)
    for repeat in range(repeats):
        tracker = Tracker()
        for k, instances in enumerate(frames):
            began = time.perf_counter()
            tracker.update(instances, k / 30)
            took[repeat, k] = time.perf_counter() - began
    return round(1e3 * float(np.median(took.min(axis=0))), 3)


def peers_milliseconds(python: str, frames: Sequence[Instances], repeats: int) -> dict[str, float]:
    """The same of the others, by name."""
    boxes: dict[str, Any] = {f"box{k}": instances.xyxy for k, instances in enumerate(frames)}
    boxes |= {f"score{k}": instances.score for k, instances in enumerate(frames)}
    with tempfile.TemporaryDirectory() as folder:
        there, back = Path(folder) / "in.npz", Path(folder) / "out.json"
        np.savez(there, **boxes)
        subprocess.run([python, str(PEERS), "--speed", str(repeats), str(there), str(back)], check=True)
        found: dict[str, float] = json.loads(back.read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mot15", type=Path, help="folder of MOT15 sequences")
    parser.add_argument("--peers", help="python of an environment with `trackers`")
    parser.add_argument("--copyleft", help="python of an environment with ultralytics")
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--out", type=Path, help="file for the JSON; else standard output")
    asked = parser.parse_args()
    report: dict[str, Any] = {"python": sys.version.split()[0], "numpy": np.__version__}
    report["milliseconds"] = {
        f"streamseg, {'masks' if with_masks else 'boxes'}": {
            str(n): milliseconds(moving(n, 60, with_masks), asked.repeats) for n in (20, 50, 100)
        }
        for with_masks in (False, True)
    }
    if asked.peers:
        fifty = peers_milliseconds(asked.peers, moving(50, 60, False), max(asked.repeats // 3, 1))
        report["milliseconds"] |= {name: {"50": took} for name, took in fifty.items()}
    if asked.mot15 is not None:
        folders = sorted(path.parent.parent for path in asked.mot15.glob("*/det/det_frcnn.txt"))
        sequences = [read_sequence(folder) for folder in folders]
        names = [sequence.name for sequence in sequences]
        groups = {
            "tuning": [name for name in names if name not in HELD_OUT],
            "held out": [name for name in names if name in HELD_OUT],
            "all": names,
        }
        imagined = [simulated(sequence, 1) for sequence in sequences]
        report["sequences"] = groups
        report["scores"] = accuracy(groups, sequences, asked.peers, asked.copyleft)
        of_imagined = {"simulated": [sequence.name for sequence in imagined]}
        report["scores"] |= accuracy(of_imagined, imagined, asked.peers, asked.copyleft)
    text = json.dumps(report, indent=1) + "\n"
    if asked.out:
        asked.out.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
