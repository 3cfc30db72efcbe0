"""The synthetic scene whose every object is painted in a key colour that nothing else has, and a detector
that fails in ways of its own: what is left of the key colours after redaction is a leak, and can be counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks import Masks
from streamseg.redaction import Redacted, Redactor, Unreleased
from streamseg.scene import SceneTruth, SyntheticScene
from streamseg.streaming.follow import Follow
from streamseg.structures import Frame, Instances, Segmented
from streamseg.tracking.config import TrackerConfig

__all__ = ["FAULTS", "KeyScene", "Leak", "key_pixels", "run_stage"]

Image = NDArray[np.uint8]

FPS = 25.0
SIZE_HW = (120, 160)
LARGE_HW = 156, 208
CELL = 2.0
"""Pixels of a cell of the detector's masks."""
FAULTS = (
    "none",
    "miss 5 %",
    "miss 20 %",
    "miss 50 %",
    "engine dies",
    "NaN",
    "reconnect",
    "id switch",
    "resize",
)


def key_pixels(image: Image) -> int:
    """Pixels in a key colour, also after a lossy encoder: far more red and blue than green."""
    blue, green, red = cv2.split(image[..., :3].astype(np.int16))
    return int(np.count_nonzero((np.minimum(blue, red) - green > 60) & (np.minimum(blue, red) > 110)))


class KeyScene:
    """Grey pictures with magenta objects; frame `index` at index / FPS."""

    def __init__(self, seed: int, size_hw: tuple[int, int] = SIZE_HW, objects: int | None = None) -> None:
        self._scene = SyntheticScene(seed, size_hw, objects, FPS)
        self._made: dict[int, tuple[Image, SceneTruth]] = {}

    def frame(self, index: int) -> tuple[Image, SceneTruth]:
        """The picture and what is visible in it."""
        if index not in self._made:
            image, truth = self._scene.frame(index)
            grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            grey[truth.labels > 0] = (255, 0, 255)
            self._made[index] = np.asarray(grey, np.uint8), truth
        return self._made[index]


@lru_cache(maxsize=2)
def _scene_of(seed: int, size_hw: tuple[int, int], objects: int | None) -> KeyScene:
    """Kept: all faults of a seed show the same frames."""
    return KeyScene(seed, size_hw, objects)


@dataclass(frozen=True)
class Leak:
    """What was counted of one run."""

    frames: int
    """That went out."""
    key_pixels: int
    """In them."""
    key_frames: int
    """Frames with any."""
    painted: int
    """Key-coloured pixels that went in."""
    filled: int
    """Frames that were filled whole."""
    covered_share: float
    """Of the pixels of frames that were not."""


def found_of(
    truth: SceneTruth, frame_hw: tuple[int, int], kept: NDArray[np.bool_], random: np.random.Generator
) -> Instances:
    """What a detector says that sees the objects `kept`: masks on a coarse grid, scores that waver."""
    rows = np.flatnonzero(kept)
    rows_hw = int(frame_hw[0] / CELL), int(frame_hw[1] / CELL)
    soft = np.zeros((len(rows), *rows_hw), np.uint8)
    for place, row in enumerate(rows):
        mask = truth.mask(int(row)).view(np.uint8) * np.uint8(255)
        soft[place] = cv2.resize(mask, rows_hw[::-1], interpolation=cv2.INTER_AREA)
    score = random.uniform(0.12, 0.98, len(rows)).astype(np.float32)
    found = Instances(
        truth.xyxy[rows], score, np.zeros(len(rows), np.int32), Masks(soft, (CELL, CELL), frame_hw)
    )
    return found.select(np.argsort(-score, kind="stable"))


def segmented(
    seed: int, fault: str, frames: int, painted: list[int], objects: int | None = None
) -> Iterator[Segmented]:
    """Frames as they come out of the engine's stage, with the fault asked for."""
    random = np.random.default_rng(seed)
    miss = float(fault.split()[1]) / 100 if fault.startswith("miss") else 0.05
    for k in range(frames):
        late = fault in ("reconnect", "resize") and k >= frames // 2
        size_hw = LARGE_HW if fault == "resize" and late else SIZE_HW
        image, truth = _scene_of(seed, size_hw, objects).frame(k + (500 if late else 0))
        painted[0] += key_pixels(image)
        hw = image.shape[0], image.shape[1]
        kept = random.random(len(truth)) >= (0 if fault == "none" else miss)
        refused = 0
        if fault == "engine dies" and k >= frames // 3:
            kept[:] = False
        if fault == "NaN" and random.random() < 0.2:
            refused = int(kept.sum())
            kept[:] = False
        if fault == "id switch" and len(truth) > 1:
            # Of two objects that touch, one is taken for the other: only one is found.
            kept &= ~_hidden_by_neighbour(truth, random)
        pts = k / FPS + (2.0 if late and fault == "reconnect" else 0.0)
        session = int(late and fault == "reconnect")
        frame = Frame(image, k, pts, 0, "scene", session=session)
        yield Segmented(frame, found_of(truth, hw, kept, random), refused=refused)


def _hidden_by_neighbour(truth: SceneTruth, random: np.random.Generator) -> NDArray[np.bool_]:
    boxes = truth.xyxy
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    touching = np.all(high > low, axis=2).sum(axis=1) > 1
    lost: NDArray[np.bool_] = touching & (random.random(len(truth)) < 0.3)
    return lost


def run_stage(
    seed: int,
    fault: str,
    frames: int = 60,
    *,
    delay_s: float = 1.0,
    reveal: Sequence[int] = (),
    objects: int | None = None,
) -> tuple[Leak, list[Redacted]]:
    """One seed and fault through tracker and redactor."""
    follow = Follow(("person",), TrackerConfig.for_score_threshold(0.3))
    redactor = Redactor(["person"], delay_s=delay_s, reveal=reveal, fps=FPS)
    painted = [0]
    out: list[Redacted] = []
    for item in segmented(seed, fault, frames, painted, objects):
        for result in follow.process([item]):
            out += redactor.take(Unreleased(result, item.instances, item.refused))
    out += redactor.finish()
    counts = [key_pixels(result.frame.image) for result in out]
    open_ones = [result for result in out if result.redaction and not result.redaction.filled]
    flat = np.array((40, 40, 40), np.uint8)
    shares = [float((result.frame.image == flat).all(axis=2).mean()) for result in open_ones]
    leak = Leak(
        len(out),
        sum(counts),
        sum(count > 0 for count in counts),
        painted[0],
        len(out) - len(open_ones),
        float(np.mean(shares)) if shares else 1.0,
    )
    return leak, out
