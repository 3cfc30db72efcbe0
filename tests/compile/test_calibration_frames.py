"""Frames for calibration: which ones, their size, and sources that cannot be sampled."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.compile.calibration_frames import calibration_frames
from streamseg.engine_contract import EngineInfo
from streamseg.errors import ConfigError, SourceError

INFO = EngineInfo("yolact", "tiny", ("thing",), "stretch", (16, 24), 5, 0.0)


@pytest.fixture
def ten_levels(tmp_path: Path) -> Path:
    """Ten pictures, each of one level: 0, 10 … 90."""
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((32, 32, 3), 10 * i, np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("count", "levels"),
    [(1, [50]), (2, [20, 70]), (5, [10, 30, 50, 70, 90]), (10, range(0, 100, 10)), (99, range(0, 100, 10))],
)
def test_middles_of_equal_parts(ten_levels: Path, count: int, levels: list[int]) -> None:
    frames = list(calibration_frames(str(ten_levels), INFO, count))
    assert [int(frame[0, 0, 0]) for frame in frames] == list(levels)
    assert {(frame.shape, frame.dtype) for frame in frames} == {((16, 24, 3), np.dtype(np.uint8))}


def test_resized_as_the_engine_wants_it(ten_levels: Path) -> None:
    fit = EngineInfo("solov2", "tiny", ("thing",), "fit", (16, 24), 5, 0.0, pad_bgr=(1, 2, 3))
    [frame] = calibration_frames(str(ten_levels), fit, 1)
    assert frame[5, 15].tolist() == [50, 50, 50]
    assert frame[5, 16].tolist() == [1, 2, 3]


def test_sources_that_cannot_be_sampled(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="rtsp://x: a live source; name a clip"):
        next(calibration_frames("rtsp://x", INFO, 5))
    with pytest.raises(ConfigError, match="calibration frames: 0"):
        next(calibration_frames(str(tmp_path), INFO, 0))
    with pytest.raises(SourceError, match="synthetic: has no end; say how many frames"):
        next(calibration_frames("synthetic", INFO, 5))
