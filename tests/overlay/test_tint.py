import cv2
import numpy as np
import pytest

from streamseg.masks import Region
from streamseg.overlay.palette import PALETTE
from streamseg.overlay.tint import OPACITY, Tint


@pytest.mark.parametrize("count", [0, 1, 12])
def test_overlapping_masks_are_painted_in_order_and_blended_once(count: int) -> None:
    """Pixel for pixel what painting a copy of the whole frame and blending it gives; also at another size."""
    rng = np.random.default_rng(count)
    tint = Tint()
    for height, width in ((90, 120), (64, 200), (90, 120)):
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        regions = [Region((0, 0), np.zeros((0, 0), np.bool_))]
        for _ in range(count):
            h, w = rng.integers(1, 60, 2).tolist()
            origin = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
            regions.append(Region(origin, rng.random((h, w)) < 0.6))
        colours = [PALETTE[k] for k in range(len(regions))]
        canvas, painted = image.copy(), image.copy()
        tint.apply(canvas, image, regions, colours)
        for ((x, y), bits), colour in zip(regions, colours, strict=True):
            painted[y : y + bits.shape[0], x : x + bits.shape[1]][bits] = colour
        np.testing.assert_array_equal(canvas, cv2.addWeighted(image, 1 - OPACITY, painted, OPACITY, 0))
