"""Instances made by hand."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.structures import Instances, Masks

MakeInstances = Callable[..., Instances]


@pytest.fixture(scope="session")
def make_instances() -> MakeInstances:
    """make(boxes, scores=, classes=, soft=, frame_hw=): instances; without `soft`, without masks."""

    def make(
        boxes: Sequence[Sequence[float]] | NDArray[np.floating],
        scores: Sequence[float] | None = None,
        classes: Sequence[int] | None = None,
        soft: NDArray[np.uint8] | None = None,
        frame_hw: tuple[int, int] = (400, 400),
    ) -> Instances:
        xyxy = np.asarray(boxes, np.float32).reshape(-1, 4)
        n = len(xyxy)
        if soft is None:
            soft = np.zeros((n, 1, 1), np.uint8)
        scale = frame_hw[1] / soft.shape[2], frame_hw[0] / soft.shape[1]
        return Instances(
            xyxy,
            np.full(n, 0.9, np.float32) if scores is None else np.asarray(scores, np.float32),
            np.zeros(n, np.int32) if classes is None else np.asarray(classes, np.int32),
            Masks(soft, scale, frame_hw),
        )

    return make
