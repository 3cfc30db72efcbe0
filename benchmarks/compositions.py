"""Crossings with exact masks: foregrounds of DAVIS pass before and behind each other.

    python benchmarks/compositions.py --davis FOLDER [--peers PYTHON] [--copyleft PYTHON] [--out FILE]

Each scene has eight foregrounds of the sequences under FOLDER, scaled, mirrored, on ways of their own, the
lower one in front. What is seen of each is its truth. A detector is imagined: it finds what is visible by a
quarter at least, in 95 of 100 frames, surer the more is visible, with an edge that varies by a cell. Every
tracker gets the same detections; scores compare masks. PYTHON as in benchmarks/tracking.py.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tracking import COPYLEFT, others
from tracking_sequences import BoxSequence

from streamseg.evaluation.tracking_scores import TrackedFrame, tracking_scores
from streamseg.structures import Instances, Masks
from streamseg.tracking import Tracker, TrackerConfig

FPS = 25.0
FRAMES = 200
GRID_HW = (120, 214)
CELL = 4.0
FRAME_HW = (480, 856)
OBJECTS = 8
Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Shown:
    """One frame: what is there, and what was found of it."""

    ids: NDArray[np.int64]
    truth: list[Bits]
    found: list[Bits]
    score: NDArray[np.float64]

    @property
    def xyxy(self) -> NDArray[np.float64]:
        """(N, 4) boxes of what was found, pixels."""
        return np.array([_box(mask) for mask in self.found]).reshape(-1, 4)


def _box(mask: Bits) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return CELL * columns[0], CELL * rows[0], CELL * (columns[-1] + 1), CELL * (rows[-1] + 1)


def foregrounds(folder: Path) -> list[list[NDArray[np.uint8]]]:
    """Cut-out masks of each sequence, frame by frame."""
    made = []
    for name in sorted({path.parent for path in folder.glob("**/Annotations/**/*.png")}):
        masks = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(name.glob("*.png"))]
        cut = []
        for mask in masks:
            if mask is not None and (mask > 127).any():
                x, y, w, h = cv2.boundingRect((mask > 127).astype(np.uint8))
                cut.append(np.asarray(mask[y : y + h, x : x + w] > 127, np.uint8) * 255)
        made.append(np.array(cut, object).tolist())
    return made


def scene(sources: Sequence[Sequence[NDArray[np.uint8]]], seed: int) -> list[Shown]:
    random = np.random.default_rng(seed)
    picked = random.integers(len(sources), size=OBJECTS)
    size, mirrored = random.uniform(22, 45, OBJECTS), random.random(OBJECTS) < 0.5
    ground = np.sort(random.uniform(45, 115, OBJECTS))
    middle, reach = random.uniform(60, 150, OBJECTS), random.uniform(30, 90, OBJECTS)
    hertz, phase = random.uniform(0.05, 0.25, OBJECTS), random.uniform(0, 2 * np.pi, OBJECTS)
    frames = []
    for k in range(FRAMES):
        owner = np.zeros(GRID_HW, np.int32)
        whole = []
        for name in range(OBJECTS):  # farther ones first
            source = sources[picked[name]]
            step = k % (2 * len(source) - 2)
            sprite = source[step if step < len(source) else 2 * len(source) - 2 - step]
            x = middle[name] + reach[name] * np.sin(2 * np.pi * hertz[name] * k / FPS + phase[name])
            placed = _placed(sprite, size[name], (x, ground[name]), bool(mirrored[name]))
            owner[placed] = name + 1
            whole.append(int(np.count_nonzero(placed)))
        frames.append(_shown(owner, whole, random))
    return frames


def _placed(sprite: NDArray[np.uint8], size: float, foot_xy: tuple[float, float], mirrored: bool) -> Bits:
    """The cells of a sprite `size` cells long, its lowest row's middle at `foot_xy`."""
    scale = size / max(sprite.shape)
    w, h = max(round(sprite.shape[1] * scale), 2), max(round(sprite.shape[0] * scale), 2)
    small = cv2.resize(sprite[:, ::-1] if mirrored else sprite, (w, h), interpolation=cv2.INTER_AREA)
    shift = np.array([[1.0, 0, foot_xy[0] - w / 2], [0, 1, foot_xy[1] - h]])
    placed: Bits = cv2.warpAffine(small, shift, GRID_HW[::-1]) > 127
    return placed


def _shown(owner: NDArray[np.int32], whole: Sequence[int], random: np.random.Generator) -> Shown:
    ids, truth, found, score = [], [], [], []
    kernel = np.ones((3, 3), np.uint8)
    for name, area in enumerate(whole, start=1):
        mask = owner == name
        share = np.count_nonzero(mask) / max(area, 1)
        if share < 0.1:
            continue
        ids.append(name)
        truth.append(mask)
        if share < 0.25 or random.random() < 0.05:
            continue
        change = random.integers(3)
        bits = mask.astype(np.uint8)
        bits = bits if change == 0 else cv2.erode(bits, kernel) if change == 1 else cv2.dilate(bits, kernel)
        if bits.any():
            found.append(bits.astype(np.bool_))
            score.append(float(np.clip(0.35 + 0.6 * share + random.normal(0, 0.05), 0.05, 0.99)))
    return Shown(np.array(ids, np.int64), truth, found, np.array(score))


def ours(frames: Sequence[Shown], with_masks: bool) -> list[NDArray[np.int64]]:
    """An id, or -1, for everything found."""
    tracker = Tracker(TrackerConfig(nominal_step_seconds=1 / FPS))
    made = []
    for k, shown in enumerate(frames):
        n = len(shown.found)
        soft = np.zeros((n, *GRID_HW) if with_masks else (n, 1, 1), np.uint8)
        if with_masks and n:
            soft[:] = 255 * np.array(shown.found)
        grid = (CELL, CELL) if with_masks else (float(FRAME_HW[1]), float(FRAME_HW[0]))
        instances = Instances(
            shown.xyxy.astype(np.float32),
            shown.score.astype(np.float32),
            np.zeros(n, np.int32),
            Masks(soft, grid, FRAME_HW),
        )
        made.append(tracker.update(instances, k / FPS).id)
    return made


def scored(frames: Sequence[Shown], ids: Sequence[NDArray[np.int64]]) -> list[TrackedFrame]:
    made = []
    for shown, names in zip(frames, ids, strict=True):
        rows = np.flatnonzero(names >= 0)
        truth = np.array(shown.truth, np.float32).reshape(len(shown.truth), -1)
        found = np.array([shown.found[row] for row in rows], np.float32).reshape(len(rows), truth.shape[1])
        both = truth @ found.T
        union = truth.sum(axis=1)[:, None] + found.sum(axis=1) - both
        made.append(TrackedFrame(shown.ids, names[rows], (both / np.maximum(union, 1)).astype(np.float64)))
    return made


def boxes_of(frames: Sequence[Shown], name: str) -> BoxSequence:
    return BoxSequence(name, FPS, FRAME_HW, [], [(shown.score, shown.xyxy) for shown in frames])


def masks_of(scenes: Iterable[Sequence[Shown]]) -> dict[str, Any]:
    """What benchmarks/tracking_peers_copyleft.py wants of masks."""
    made: dict[str, Any] = {}
    for k, frames in enumerate(scenes):
        made |= {f"mask{k}": np.array([mask for shown in frames for mask in shown.found]), f"cell{k}": CELL}
    return made


def by_row(frames: Sequence[Shown], rows: Sequence[tuple[Any, Any]]) -> list[NDArray[np.int64]]:
    """Ids of another tracker, of which only the boxes say whose they are, row for row."""
    made = []
    for shown, (ids, boxes) in zip(frames, rows, strict=True):
        named = {tuple(box): name for name, box in zip(ids.tolist(), boxes.tolist(), strict=True)}
        made.append(np.array([named.get(tuple(box), -1) for box in shown.xyxy.tolist()], np.int64))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--peers")
    parser.add_argument("--copyleft", help="python of an environment with ultralytics and boxmot")
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    sources = foregrounds(asked.davis)
    scenes = {f"scene {seed}": scene(sources, seed) for seed in range(asked.scenes)}
    results = {
        "streamseg, masks": {name: ours(frames, True) for name, frames in scenes.items()},
        "streamseg, boxes": {name: ours(frames, False) for name, frames in scenes.items()},
    }
    given = [boxes_of(frames, name) for name, frames in scenes.items()]
    seen = [list(range(FRAMES))] * len(given)
    found = others(asked.peers, given, seen) if asked.peers else {}
    if asked.copyleft:
        found |= others(asked.copyleft, given, seen, COPYLEFT, masks_of(scenes.values()))
    for tracker, by_scene in found.items():
        pairs = zip(scenes.items(), by_scene, strict=True)
        results[tracker] = {name: by_row(frames, rows) for (name, frames), rows in pairs}
    report = {
        tracker: {
            key: round(value, 2)
            for key, value in tracking_scores(
                {name: scored(frames, ids[name]) for name, frames in scenes.items()}, of_masks=True
            ).items()
        }
        for tracker, ids in results.items()
    }
    text = json.dumps(report, indent=1) + "\n"
    if asked.out:
        asked.out.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
