"""The key-coloured scene through what anonymises each frame by itself: how many pixels of objects it
leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from redaction_scene import segmented

from streamseg.structures import Instances

__all__ = ["peers"]

Image = NDArray[np.uint8]
Blur = Callable[[Image, Instances], Image]

SHOWN_SCORE = 0.3
MISSES = "none", "miss 5 %", "miss 20 %", "miss 50 %"
_NOISE = 60


def peers(seeds: int, frames: int) -> dict[str, Any]:
    """Of each peer and fault: pixels of objects that came out as they went in."""
    known: dict[str, Blur] = {"detect and blur, each frame by itself": _blur_boxes}
    versions = {"opencv": cv2.__version__}
    try:
        import supervision
    except ImportError:
        pass
    else:
        versions["supervision"] = supervision.__version__
        known["supervision BlurAnnotator"] = _supervision
        known["supervision PixelateAnnotator"] = _supervision_pixels
    made = {
        name: {fault: _leak(blur, fault, seeds, frames) for fault in MISSES} for name, blur in known.items()
    }
    return {
        "seeds": seeds,
        "frames_of_each": frames,
        "score": SHOWN_SCORE,
        "versions": versions,
        "peers": made,
    }


def _leak(blur: Blur, fault: str, seeds: int, frames: int) -> dict[str, int]:
    key_in = left = frames_left = 0
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        painted = [0]
        for item in segmented(seed, fault, frames, painted):
            keys = (item.frame.image == (255, 0, 255)).all(axis=2)
            # With a grain, so that a blurred pixel is another one also in the middle of an object.
            grain = random.integers(1, _NOISE, keys.shape, np.uint8)
            image = item.frame.image.copy()
            image[..., 1] = np.where(keys, grain, image[..., 1])
            found = item.instances.select(item.instances.score >= SHOWN_SCORE)
            same = (blur(image.copy(), found) == image).all(axis=2) & keys
            key_in += int(keys.sum())
            left += int(same.sum())
            # Of an object blurred by a few pixels' mean a pixel in a hundred is what it was by chance.
            frames_left += bool(same.sum() > 0.02 * keys.sum())
    return {"key_pixels_in": key_in, "key_pixels_left": left, "frames_with_over_2_percent_left": frames_left}


def _blur_boxes(image: Image, found: Instances) -> Image:
    for x1, y1, x2, y2 in found.xyxy.astype(int).tolist():
        part = image[y1:y2, x1:x2]
        side = 2 * max((min(part.shape[:2]) // 3) // 2, 1) + 1
        image[y1:y2, x1:x2] = cv2.GaussianBlur(part, (side, side), 0)
    return image


def _detections(found: Instances) -> Any:
    import supervision

    return supervision.Detections(
        xyxy=found.xyxy, confidence=found.score, class_id=found.class_id.astype(int)
    )


def _supervision(image: Image, found: Instances) -> Image:
    import supervision

    return np.asarray(supervision.BlurAnnotator().annotate(image, _detections(found)), np.uint8)


def _supervision_pixels(image: Image, found: Instances) -> Image:
    import supervision

    return np.asarray(supervision.PixelateAnnotator().annotate(image, _detections(found)), np.uint8)
