"""Pictures that a newcomer may well point `compact` at: gray, for print, far too large, of nothing at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.capture.image_source import ImageSource
from streamseg.engines.load import load_engine
from streamseg.engines.locate import find_engine
from streamseg.segmenter import Segmenter


def ramp(height: int, width: int) -> NDArray[np.uint8]:
    """From black to white, left to right; nothing that has a name."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))


@pytest.mark.slow
def test_gray_cmyk_and_huge_pictures_without_an_object(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="writes CMYK")
    assert cv2.imwrite(str(tmp_path / "1-gray.png"), ramp(60, 80))
    cmyk = np.zeros((60, 80, 4), np.uint8)
    cmyk[..., 1] = 255  # magenta
    image.fromarray(cmyk, "CMYK").save(tmp_path / "2-cmyk.jpg", quality=95)
    assert cv2.imwrite(str(tmp_path / "3-huge.jpg"), ramp(9_000, 12_000))
    shapes, found = [], []
    with load_engine(find_engine("compact"), "onnxruntime", "fp32") as engine:
        segmenter = Segmenter(engine, score=0.3)
        for frame in ImageSource(tmp_path, "p"):
            shapes.append(frame.image.shape)
            found.append(len(segmenter.segment([frame])[0].instances))
            if frame.index == 1:
                blue, green, red = frame.image[30, 40].astype(int)
                assert min(blue, red) > green + 60
    assert shapes == [(60, 80, 3), (60, 80, 3), (9_000, 12_000, 3)]
    assert found == [0, 0, 0]
