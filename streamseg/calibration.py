"""Pictures of the user's own footage at an engine's size: what an INT8 engine is calibrated on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streamseg.capture.open import is_live, open_source
from streamseg.engines.contract import EngineInfo
from streamseg.errors import ConfigError, SourceError
from streamseg.segmenter import resize_into

__all__ = ["calibration_frames"]


def calibration_frames(source: str, info: EngineInfo, count: int) -> Iterator[NDArray[np.uint8]]:
    """Up to `count` frames (h, w, 3) uint8 BGR at the engine's size, spread evenly over `source`.

    `source` is a video file or a folder of images, as `streamseg run` takes them; all of a shorter one is
    used. Nothing is kept: one frame lives at a time. Raises ConfigError for a count below 1 and for live
    sources, SourceError for what cannot be read.
    """
    if count < 1:
        raise ConfigError(f"calibration frames: {count}, at least 1 is needed")
    if is_live(source):
        raise ConfigError(f"{source}: a live source cannot be sampled evenly; record it to a file first")
    return _sampled(source, info, count)


def _sampled(spec: str, info: EngineInfo, count: int) -> Iterator[NDArray[np.uint8]]:
    source = open_source(spec, spec)
    try:
        if source.frame_count is None:
            raise SourceError(f"{spec}: does not say how many frames it has; convert it to mp4")
        wanted = _spread(source.frame_count, count)
        for frame in source:
            if frame.index in wanted:
                slot = np.empty((*info.input_hw, 3), np.uint8)
                resize_into(slot, frame.image, info)
                yield slot
            if frame.index >= max(wanted):
                break
    finally:
        source.close()


def _spread(total: int, count: int) -> frozenset[int]:
    """The middles of `count` equal parts of 0…total − 1; all of them when there are no more."""
    parts = min(total, count)
    return frozenset((2 * i + 1) * total // (2 * parts) for i in range(parts))
