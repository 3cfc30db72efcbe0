"""People of DAVIS on ways of their own, before and behind each other and over the border of the picture,
found by the bundled engine: what it never saw is not covered, and is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.engines.engine_file import open_engine_file
from streamseg.engines.load import load_engine
from streamseg.jobs.obtain import engine_path
from streamseg.redaction import Redacted, Redactor, Unreleased
from streamseg.redaction.redactor import LOW_SCORE
from streamseg.segmenter import Segmenter
from streamseg.streaming.follow import Follow
from streamseg.structures import Frame, Instances
from streamseg.tracking.config import TrackerConfig

__all__ = ["davis"]

Image = NDArray[np.uint8]
Bits = NDArray[np.bool_]

PERSON = "dance-twirl"
BEHIND = ("blackswan", "car-shadow")
SCENES, FRAMES, FPS = 8, 75, 25.0
PEOPLE = 4
SHOWN_SCORE = 0.3
CLEAR = 0.5
"""Share of a person's visible pixels above which it is called clear."""
LEAST_PIXELS = 400


@dataclass(frozen=True, eq=False)
class _Shown:
    image: Image
    people: dict[int, Bits]
    """By person, the visible pixels."""


def davis(folder: Path) -> dict[str, Any]:
    """Counts over all scenes: ours, and blurring the boxes of each frame by itself."""
    file = open_engine_file(engine_path("compact", None, None))
    segmenter = Segmenter(load_engine(file, "auto", "auto", None), score=LOW_SCORE)
    person = file.info.classes.index("person")
    rows = []
    for seed in range(SCENES):
        shown = list(_scene(folder, seed))
        out, found = _redacted(shown, segmenter, file.info.classes)
        rows.append(_counted(shown, out, found, person))
    segmenter.close()
    total = {key: sum(row[key] for row in rows) for key in rows[0]}
    return {
        "scenes": SCENES, "frames_of_each": FRAMES, "people_of_each": PEOPLE, "engine_sha256": file.sha256,
        "clear_means_share_of_pixels": CLEAR, **total,
    }  # fmt: skip


def _scene(folder: Path, seed: int) -> Iterator[_Shown]:
    random = np.random.default_rng(seed)
    sprites = _sprites(folder)
    behind = sorted((folder / "JPEGImages" / BEHIND[seed % 2]).glob("*.jpg"))
    height = random.uniform(140, 330, PEOPLE)
    speed = random.uniform(60, 160, PEOPLE) * random.choice([-1, 1], PEOPLE)
    start = np.where(speed > 0, random.uniform(-250, 300, PEOPLE), random.uniform(550, 1100, PEOPLE))
    phase = random.integers(0, len(sprites), PEOPLE)
    ground = np.sort(height * 0.35 + random.uniform(300, 360, PEOPLE))
    for k in range(FRAMES):
        place = k % (2 * len(behind) - 2)
        image = cv2.imread(str(behind[place if place < len(behind) else 2 * len(behind) - 2 - place]))
        if image is None:
            raise FileNotFoundError(behind[0])
        owner = np.zeros(image.shape[:2], np.int32)
        for one in range(PEOPLE):
            picture, mask = sprites[(int(phase[one]) + k) % len(sprites)]
            scale = height[one] / picture.shape[0]
            size = max(2, round(picture.shape[1] * scale)), max(2, round(picture.shape[0] * scale))
            at = start[one] + speed[one] * k / FPS, ground[one] - size[1]
            _paste(image, owner, one + 1, cv2.resize(picture, size), cv2.resize(mask, size) > 127, at)
        people = {one: owner == one for one in range(1, PEOPLE + 1)}
        visible = {one: bits for one, bits in people.items() if bits.sum() >= LEAST_PIXELS}
        yield _Shown(np.asarray(image, np.uint8), visible)


def _sprites(folder: Path) -> list[tuple[Image, Image]]:
    made = []
    for path in sorted((folder / "Annotations" / PERSON).glob("*.png")):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        image = cv2.imread(str(folder / "JPEGImages" / PERSON / f"{path.stem}.jpg"))
        if mask is None or image is None:
            raise FileNotFoundError(path)
        x, y, w, h = cv2.boundingRect((mask > 127).astype(np.uint8))
        part = slice(y, y + h), slice(x, x + w)
        made.append((np.asarray(image[part], np.uint8), np.asarray(mask[part], np.uint8)))
    return made


def _paste(
    image: Any, owner: NDArray[np.int32], name: int, picture: Any, mask: Bits, at_xy: tuple[float, float]
) -> None:
    x, y = round(at_xy[0]), round(at_xy[1])
    h, w = mask.shape
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, image.shape[1]), min(y + h, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = mask[y0 - y : y1 - y, x0 - x : x1 - x]
    image[y0:y1, x0:x1][part] = picture[y0 - y : y1 - y, x0 - x : x1 - x][part]
    owner[y0:y1, x0:x1][part] = name


def _redacted(
    shown: list[_Shown], segmenter: Segmenter, classes: tuple[str, ...]
) -> tuple[list[Redacted], list[Instances]]:
    follow = Follow(classes, TrackerConfig.for_score_threshold(SHOWN_SCORE))
    redactor = Redactor(["person"], delay_s=1.0, fps=FPS)
    out: list[Redacted] = []
    found = []
    for k, one in enumerate(shown):
        for item in segmenter.segment([Frame(one.image, k, k / FPS, 0, "davis")]):
            found.append(item.instances)
            for result in follow.process([item]):
                out += redactor.take(Unreleased(result, item.instances, item.refused))
    return [*out, *redactor.finish()], found


def _counted(shown: list[_Shown], out: list[Redacted], found: list[Instances], person: int) -> dict[str, int]:
    counts = dict.fromkeys(
        (
            "person_pixels", "ours_pixels_left", "ours_clear", "ours_filled_frames",
            "ours_pixels_covered", "pixels",
            "by_frame_pixels_left",
            "by_frame_clear", "people_in_frames", "never_found_people_in_frames", "ours_clear_of_found",
        ),
        0,
    )  # fmt: skip
    seen = _ever_found(shown, found, person)
    for k, (one, result, instances) in enumerate(zip(shown, out, found, strict=True)):
        same = (result.frame.image == one.image).all(axis=2)
        counts["pixels"] += same.size
        counts["ours_pixels_covered"] += int(np.count_nonzero(~same))
        counts["ours_filled_frames"] += bool(result.redaction and result.redaction.filled)
        boxed = np.zeros(same.shape, np.bool_)
        rows = np.flatnonzero((instances.class_id == person) & (instances.score >= SHOWN_SCORE))
        for x1, y1, x2, y2 in instances.xyxy[rows].astype(int).tolist():
            boxed[y1:y2, x1:x2] = True
        for name, bits in one.people.items():
            area, left = int(bits.sum()), int((bits & same).sum())
            left_by_frame = int((bits & ~boxed).sum())
            counts["people_in_frames"] += 1
            counts["person_pixels"] += area
            counts["ours_pixels_left"] += left
            counts["by_frame_pixels_left"] += left_by_frame
            counts["ours_clear"] += left > CLEAR * area
            counts["by_frame_clear"] += left_by_frame > CLEAR * area
            known = (name, k) in seen
            counts["never_found_people_in_frames"] += not known
            counts["ours_clear_of_found"] += known and left > CLEAR * area
    return counts


def _ever_found(shown: list[_Shown], found: list[Instances], person: int) -> set[tuple[int, int]]:
    """Person and frame, of those who were found in any frame of the second before or after."""
    hits: dict[int, list[int]] = {}
    for k, (one, instances) in enumerate(zip(shown, found, strict=True)):
        boxes = instances.xyxy[instances.class_id == person].astype(int).tolist()
        for name, bits in one.people.items():
            x, y, w, h = cv2.boundingRect(bits.astype(np.uint8))
            if any(_overlap((x, y, x + w, y + h), box) >= 0.5 for box in boxes):
                hits.setdefault(name, []).append(k)
    near = round(FPS)
    return {(name, k) for name, at in hits.items() for hit in at for k in range(hit - near, hit + near + 1)}


def _overlap(a: tuple[int, int, int, int], b: list[int]) -> float:
    """IoU of two boxes."""
    both = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return both / max(sum(areas) - both, 1)
