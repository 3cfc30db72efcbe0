from collections.abc import Callable

import numpy as np
import pytest

from streamseg.structures import Frame, Instances, Masks, Tracks

Make = Callable[..., Instances]


@pytest.fixture
def make_frame() -> Callable[..., Frame]:
    """A noisy frame: every change shows."""

    def make(size_hw: tuple[int, int], pts_seconds: float = 0.0, source_id: str = "cam") -> Frame:
        image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8)
        return Frame(image, 0, pts_seconds, 0, source_id)

    return make


@pytest.fixture
def make_instances() -> Make:
    """Instances whose masks are their boxes, which should lie on multiples of 8 pixels."""

    def make(
        frame_hw: tuple[int, int], boxes: list[list[float]], scores: list[float] | None = None
    ) -> Instances:
        n = len(boxes)
        xyxy = np.array(boxes, np.float32).reshape(n, 4)
        soft = np.zeros((n, frame_hw[0] // 8, frame_hw[1] // 8), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(soft, (xyxy // 8).astype(int), strict=True):
            mask[y1:y2, x1:x2] = 255
        score = np.array(scores if scores else np.linspace(0.9, 0.5, n), np.float32)
        masks = Masks(soft, (8.0, 8.0), frame_hw)
        return Instances(xyxy, score, np.arange(n, dtype=np.int32) % 3, masks)

    return make


@pytest.fixture
def make_tracks() -> Callable[..., Tracks]:
    def make(instances: Instances, ids: list[int] | None = None) -> Tracks:
        n = len(instances)
        numbers = np.array(range(1, n + 1) if ids is None else ids, np.int64)
        return Tracks(numbers, np.ones(n, np.float32), np.full(n, 2, np.uint8), instances.xyxy.copy())

    return make
