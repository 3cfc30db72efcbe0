"""Rectangles that move over a small picture, and what the rules say of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from streamseg.events import EventsConfig, Watch
from streamseg.structures import Event, Frame, Instances, Masks, Tracks

HW = 100, 200
CLASSES = "car", "person", "bag"
IMAGE = np.zeros((*HW, 3), np.uint8)

Seen = dict[int, tuple[float, float, float, float]]
"""Boxes by track id."""


def instances_of(seen: Seen, classes: dict[int, int] | None = None, hw=HW) -> tuple[Instances, Tracks]:
    boxes = np.array(list(seen.values()), np.float32).reshape(-1, 4)
    n = len(boxes)
    soft = np.zeros((n, *hw), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(soft, np.rint(np.nan_to_num(boxes)).astype(int).tolist(), strict=True):
        mask[y1:y2, max(x1, 0) : max(x2, 0)] = 255
    masks = Masks(soft, (1.0, 1.0), hw)
    class_id = np.array([(classes or {}).get(i, 0) for i in seen], np.int32)
    instances = Instances(boxes, np.ones(n, np.float32), class_id, masks)
    ids = np.array(list(seen), np.int64)
    return instances, Tracks(ids, np.zeros(n, np.float32), np.full(n, 2, np.uint8), boxes.copy())


class Played:
    """A watch and the events of the frames that were shown to it."""

    def __init__(self, rules: dict[str, object], source_id: str = "cam", life: str = "") -> None:
        self.watch = Watch(EventsConfig.model_validate(rules), source_id, CLASSES, life)
        self.events: list[Event] = []
        self.index = 0

    def show(self, t: float, seen: Seen, classes: dict[int, int] | None = None) -> list[Event]:
        made = self.watch.update(Frame(IMAGE, self.index, t, 0, "cam"), *instances_of(seen, classes))
        self.index += 1
        self.events += made
        return list(made)

    def play(self, frames: Iterable[tuple[float, Seen]], classes: dict[int, int] | None = None) -> Played:
        for t, seen in frames:
            self.show(t, seen, classes)
        return self

    def told(self) -> list[tuple[str, str]]:
        return [(event.rule, event.phase) for event in self.events]


@pytest.fixture
def watching():
    return Played


@pytest.fixture
def made():
    return instances_of


def box(x: float, y: float = 40.0, w: float = 20.0, h: float = 20.0) -> tuple[float, float, float, float]:
    return x, y, x + w, y + h


def path(xs: Sequence[float | None], fps: float = 25.0, track: int = 1, start: float = 0.0):
    """A box at each x in turn; None: not seen."""
    return [(start + k / fps, {} if x is None else {track: box(x)}) for k, x in enumerate(xs)]


@pytest.fixture
def walk():
    return path


@pytest.fixture(scope="session")
def watching_class():
    """The same for tests of hypothesis, which call a function many times."""
    return Played
