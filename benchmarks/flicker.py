"""How much outlines flicker, and how well they lie: one JSON.

    python benchmarks/flicker.py [--davis FOLDER] [--frames N] [--out FILE]

Synthetic scenes by the engine `shapes`, and the sequences of DAVIS 2016 under FOLDER by `compact`: steadiness
(docs/tracking.md) of the truth and of what was found, always of the objects that were found in both frames;
mean IoU with the truth.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.engines.load import load_engine
from streamseg.engines.locate import find_engine
from streamseg.evaluation.flicker import steadiness
from streamseg.evaluation.scenes import FIRST_SEED
from streamseg.masks import full_frame
from streamseg.scene import SyntheticScene
from streamseg.segmenter import Segmenter
from streamseg.structures import Frame, Instances
from streamseg.tracking import Tracker, TrackerConfig

FPS = 25
SCORE = 0.3
Bits = NDArray[np.bool_]
Seen = tuple[Frame, dict[int, Bits]]


class Compared:
    """Masks of the same objects: of the truth, and as found."""

    def __init__(self) -> None:
        self.masks: dict[str, list[dict[int, Bits]]] = {"truth": [], "found": []}
        self.iou: list[float] = []

    def add(self, truth: dict[int, Bits], found: Instances) -> None:
        """One frame; a found mask is the object's with which it has the highest IoU, of one half or more."""
        kept: dict[str, dict[int, Bits]] = {name: {} for name in self.masks}
        for row in range(len(found)):
            mask = full_frame(found.masks, found.xyxy, row)
            ious = {name: _iou(mask, there) for name, there in truth.items()}
            name = max(ious, key=lambda k: ious[k], default=None)
            if name is None or ious[name] < 0.5 or name in kept["found"]:
                continue
            kept["truth"][name], kept["found"][name] = truth[name], mask
            self.iou.append(ious[name])
        for which, masks in kept.items():
            self.masks[which].append(masks)

    def summary(self) -> dict[str, float]:
        values = {f"steadiness_{name}": steadiness(frames) for name, frames in self.masks.items()}
        values["iou_found"] = float(np.mean(self.iou))
        return {name: round(value, 4) for name, value in values.items()}


def _iou(a: Bits, b: Bits) -> float:
    both = np.count_nonzero(a & b)
    return both / (np.count_nonzero(a) + np.count_nonzero(b) - both) if both else 0.0


def scene(seed: int, frames: int) -> Iterator[Seen]:
    made = SyntheticScene(seed)
    for k in range(frames):
        image, truth = made.frame(k)
        masks = {int(name): truth.mask(row) for row, name in enumerate(truth.ids)}
        yield Frame(image, k, k / FPS, 0, f"scene {seed}"), masks


def davis(folder: Path, name: str, frames: int) -> Iterator[Seen]:
    pictures = sorted(next(p for p in folder.glob(f"**/JPEGImages/**/{name}")).glob("*.jpg"))
    annotated = next(p for p in folder.glob(f"**/Annotations/**/{name}"))
    for k, picture in enumerate(pictures[:frames]):
        truth = cv2.imread(str(annotated / f"{picture.stem}.png"), cv2.IMREAD_GRAYSCALE)
        image = np.asarray(cv2.imread(str(picture)), np.uint8)
        assert truth is not None
        yield Frame(image, k, k / FPS, 0, name), {1: truth > 127}


def compared(engine: str, sequence: Iterator[Seen]) -> dict[str, float]:
    """One sequence, found by `engine` and followed."""
    result, tracker = Compared(), Tracker(TrackerConfig.for_score_threshold(SCORE))
    with load_engine(find_engine(engine)) as loaded:
        segmenter = Segmenter(loaded, score=SCORE / 3)
        for frame, masks in sequence:
            [item] = segmenter.segment([frame])
            tracks = tracker.update(item.instances, frame.pts_seconds)
            kept = np.flatnonzero((item.instances.score >= SCORE) | (tracks.id > 0))
            result.add(masks, item.instances.select(kept))
    return result.summary()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path)
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    report: dict[str, Any] = {}
    for seed in (FIRST_SEED, FIRST_SEED + 1):
        report[f"scene {seed}"] = compared("shapes", scene(seed, asked.frames))
    names = (
        sorted({path.name for path in asked.davis.glob("**/Annotations/**/*") if path.is_dir()})
        if asked.davis
        else []
    )
    for name in names:
        if any(asked.davis.glob(f"**/Annotations/**/{name}/*.png")):
            report[name] = compared("compact", davis(asked.davis, name, asked.frames))
    text = json.dumps(report, indent=1) + "\n"
    if asked.out:
        asked.out.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
