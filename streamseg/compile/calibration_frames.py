"""Pictures of the user's own footage at an engine's size: what an INT8 engine is calibrated on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streamseg.capture.sampling import sampled_frames
from streamseg.engine_contract import EngineInfo
from streamseg.errors import ConfigError
from streamseg.segmenter import resize_into

__all__ = ["calibration_frames"]


def calibration_frames(source: str, info: EngineInfo, count: int) -> Iterator[NDArray[np.uint8]]:
    """Up to `count` frames (h, w, 3) uint8 BGR at the engine's size, spread evenly over `source`.

    `source` is a video file or a folder of images, as `streamseg run` takes them; all of a shorter one is
    used. Nothing is kept: one frame lives at a time. Raises ConfigError for a count below 1, SourceError for
    what cannot be read or has no end.
    """
    if count < 1:
        raise ConfigError(f"calibration frames: {count}, at least 1 is needed")
    for frame in sampled_frames(source, count):
        slot = np.empty((*info.input_hw, 3), np.uint8)
        resize_into(slot, frame.image, info)
        yield slot
