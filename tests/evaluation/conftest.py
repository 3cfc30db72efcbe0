"""An engine whose answers are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.engines.contract import EngineInfo, EngineOutputs

SIZE_HW = (64, 96)


class OracleEngine:
    """Finds the square of `box`, as `class_id`, in pictures whose first pixel is bright."""

    runtime = "oracle"
    box = (16, 8, 48, 40)
    """x1 y1 x2 y2 of what it finds, in pixels of its input."""

    def __init__(self, classes: tuple[str, ...], class_id: int) -> None:
        self.info = EngineInfo("oracle", "oracle", classes, "stretch", SIZE_HW, 1, 0.0)
        self.class_id = class_id
        self.frames: NDArray[np.uint8] = np.zeros((0, *SIZE_HW, 3), np.uint8)

    def submit(self, frames: NDArray[np.uint8]) -> None:
        self.frames = frames

    def collect(self) -> EngineOutputs:
        count = (self.frames[:, 0, 0, 0] > 128).astype(np.int32)
        x1, y1, x2, y2 = self.box
        masks = np.zeros((len(count), 1, *SIZE_HW), np.uint8)
        masks[:, :, y1:y2, x1:x2] = 255
        boxes = np.array(self.box, np.float32) / [96, 64, 96, 64]
        return EngineOutputs(
            np.tile(boxes.astype(np.float32), (len(count), 1, 1)),
            count[:, None].astype(np.float32) * 0.9,
            np.full((len(count), 1), self.class_id, np.int32),
            masks,
            count,
        )

    def close(self) -> None:
        pass


@pytest.fixture
def oracle() -> type[OracleEngine]:
    return OracleEngine
