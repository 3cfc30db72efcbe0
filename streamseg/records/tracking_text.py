"""MOTChallenge's text formats: boxes (MOT) and masks (MOTS). Tested in tests/records/test_formats.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from streamseg.masks import Region, Rle, rles_from_runs, runs_from_region
from streamseg.records.read import RecordedFrame, RecordedInstance

__all__ = ["disjoint_masks", "mot_lines", "mots_lines"]

MOTS_CLASSES = {"car": 1, "person": 2}
"""Those that the benchmark knows; others are numbered on from 3."""


def mot_lines(frames: Iterable[RecordedFrame]) -> Iterator[str]:
    """`frame,id,left,top,width,height,score,-1,-1,-1`; frames and pixels are counted from 1."""
    for frame in frames:
        for one in frame.instances:
            if one.track is not None:
                x1, y1, x2, y2 = one.box
                place = f"{x1 + 1:.2f},{y1 + 1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
                yield f"{frame.index + 1},{one.track},{place},{one.score:.4f},-1,-1,-1"


def mots_lines(frames: Iterable[RecordedFrame]) -> Iterator[str]:
    """`frame id class height width rle`; masks of a frame share no pixel, as the benchmark demands."""
    numbers = dict(MOTS_CLASSES)
    for frame in frames:
        tracked = [one for one in frame.instances if one.track is not None]
        for one, rle in zip(tracked, disjoint_masks(tracked), strict=True):
            if rle is None:
                continue
            number = numbers.setdefault(one.class_name, max(numbers.values()) + 1)
            height, width = rle["size"]
            yield f"{frame.index + 1} {one.track} {number} {height} {width} {rle['counts']}"


def disjoint_masks(instances: list[RecordedInstance]) -> list[Rle | None]:
    """Their masks, of which the surest keeps a pixel that several have; None where nothing is left."""
    if not instances:
        return []
    height, width = instances[0].rle["size"]
    owner = np.zeros((height, width), np.uint16)
    for row in sorted(range(len(instances)), key=lambda k: instances[k].score):
        (x, y), bits = instances[row].region
        owner[y : y + bits.shape[0], x : x + bits.shape[1]][bits] = row + 1
    made: list[Rle | None] = []
    for row, one in enumerate(instances, start=1):
        (x, y), bits = one.region
        left = owner[y : y + bits.shape[0], x : x + bits.shape[1]] == row
        runs = runs_from_region(Region((x, y), left))
        made.append(rles_from_runs([runs], (height, width))[0] if left.any() else None)
    return made
