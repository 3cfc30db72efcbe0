"""What masks in pixels, RLE and the overlay cost on one thread: one JSON on standard output.

    python benchmarks/overlay.py [--rounds 40]

Made-up instances of realistic size on 1280×720; milliseconds of CPU time, best and median, the parts
interleaved so that a busy machine slows all of them alike. supervision's annotators draw the same
instances when that package is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks import FrameMasks
from streamseg.overlay.labels import style_for
from streamseg.overlay.painter import Painter, draw_labels, draw_outline
from streamseg.overlay.palette import colours_of
from streamseg.overlay.tint import Tint
from streamseg.structures import Frame, Instances, Masks, Tracks

FRAME_HW = 720, 1280
GRIDS = (138, 138), (80, 112)
NAMES = ("person", "car", "traffic light", "dog")

Parts = dict[str, Callable[[], object]]


def made_instances(n: int, grid_hw: tuple[int, int], seed: int = 0) -> Instances:
    """`n` wobbly blobs, every fifth with a hole, that cover about half of the frame together."""
    rng = np.random.default_rng(seed)
    (height, width), (mh, mw) = FRAME_HW, grid_hw
    sx, sy = width / mw, height / mh
    y, x = (np.mgrid[:mh, :mw] + 0.5) * np.array([sy, sx])[:, None, None]
    centre, radius = rng.uniform([0, 0], [width, height], (n, 2)), rng.uniform(0.08, 0.24, n) * height
    soft = np.stack([_blob(x - cx, y - cy, r, rng) for (cx, cy), r in zip(centre, radius, strict=True)])
    for k in range(0, n, 5):
        far = np.hypot(x - centre[k, 0], y - centre[k, 1]) - radius[k] * 0.4
        soft[k] = np.minimum(soft[k], np.clip(127.5 + far * 20, 0, 255))
    reach = 1.3 * radius[:, None]
    xyxy = np.clip(np.hstack([centre - reach, centre + reach]), 0, [width, height] * 2).astype(np.float32)
    score = np.sort(rng.uniform(0.3, 1, n))[::-1].astype(np.float32)
    class_id = rng.integers(0, len(NAMES), n).astype(np.int32)
    return Instances(xyxy, score, class_id, Masks(soft.astype(np.uint8), (sx, sy), FRAME_HW))


def _blob(
    dx: NDArray[np.float64], dy: NDArray[np.float64], radius: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    wobble = 1 + 0.2 * np.sin(np.arctan2(dy, dx) * rng.integers(2, 6) + rng.uniform(0, 6))
    soft: NDArray[np.float64] = np.clip(127.5 + (radius * wobble - np.hypot(dx, dy)) * 20, 0, 255)
    return soft


def tracked(instances: Instances) -> Tracks:
    n = len(instances)
    return Tracks(np.arange(1, n + 1), np.ones(n, np.float32), np.full(n, 2, np.uint8), instances.xyxy.copy())


def masks_of(instances: Instances) -> FrameMasks:
    """The masks with nothing made yet."""
    return FrameMasks(instances.masks, instances.xyxy)


def anew(instances: Instances) -> Instances:
    """The same instances, of whose masks nothing is made yet."""
    return replace(instances)


def parts_of(frame: Frame, instances: Instances) -> Parts:
    """What is measured, by name; all that a part needs from an earlier one is made beforehand."""
    tracks = tracked(instances)
    ready, colours = instances.pixels.regions, colours_of(instances, tracks)
    style, tint, painter = style_for(FRAME_HW), Tint(), Painter()
    trailing = Painter(trail_seconds=2.0)
    canvas = frame.image.copy()

    def outlines() -> None:
        for part, box, colour in zip(ready, instances.xyxy, colours, strict=True):
            draw_outline(canvas, part, box, colour, style)

    def regions_and_rle() -> None:
        both = masks_of(instances)
        _ = both.regions, both.rles

    return {
        "frame_copy": lambda: frame.image.copy(),
        "regions": lambda: masks_of(instances).regions,
        "rle": lambda: masks_of(instances).rles,
        "regions_and_rle": regions_and_rle,
        "tint": lambda: tint.apply(canvas, frame.image, ready, colours),
        "outlines": outlines,
        "labels": lambda: draw_labels(canvas, style, instances, tracks, NAMES, colours, "30 fps"),
        "draw_given_regions": lambda: painter.draw(frame, instances, tracks, NAMES),
        "draw": lambda: painter.draw(frame, anew(instances), tracks, NAMES, status="30 fps"),
        "draw_with_trails": lambda: trailing.draw(frame, anew(instances), tracks, NAMES, status="30 fps"),
    }


def supervision_parts(frame: Frame, instances: Instances) -> Parts:
    """The same picture by supervision, its full-frame masks made beforehand."""
    import supervision as sv

    full = np.zeros((len(instances), *FRAME_HW), np.bool_)
    for row, ((x, y), bits) in zip(full, instances.pixels.regions, strict=True):
        row[y : y + bits.shape[0], x : x + bits.shape[1]] = bits
    detections = sv.Detections(
        xyxy=instances.xyxy,
        mask=full,
        confidence=instances.score,
        class_id=instances.class_id.astype(int),
        tracker_id=np.arange(1, len(instances) + 1),
    )
    texts = [NAMES[c] for c in instances.class_id]
    mask, polygon, label = sv.MaskAnnotator(), sv.PolygonAnnotator(), sv.LabelAnnotator()
    canvas = frame.image.copy()
    return {
        "supervision_mask": lambda: mask.annotate(canvas, detections),
        "supervision_polygon": lambda: polygon.annotate(canvas, detections),
        "supervision_label": lambda: label.annotate(canvas, detections, labels=texts),
    }


def timed(parts: Parts, rounds: int) -> dict[str, dict[str, float]]:
    """Best and median milliseconds of each part."""
    took: dict[str, list[float]] = {name: [] for name in parts}
    for n in range(rounds + 3):
        for name, run in parts.items():
            start = time.thread_time()
            run()
            if n >= 3:
                took[name].append((time.thread_time() - start) * 1e3)
    return {
        name: {"best_ms": round(min(ms), 3), "median_ms": round(statistics.median(ms), 3)}
        for name, ms in took.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    image = np.random.default_rng(0).integers(0, 256, (*FRAME_HW, 3)).astype(np.uint8)
    frame = Frame(image, 0, 0.0, time.monotonic_ns(), "benchmark")
    has_supervision = importlib.util.find_spec("supervision") is not None
    cases = []
    for grid_hw in GRIDS:
        for n in (20, 60):
            instances = made_instances(n, grid_hw)
            parts = parts_of(frame, instances)
            if has_supervision:
                parts |= supervision_parts(frame, instances)
            areas = instances.pixels.areas
            cases.append(
                {
                    "instances": n,
                    "grid_hw": grid_hw,
                    "sum_of_masks_over_frame": round(sum(areas) / (FRAME_HW[0] * FRAME_HW[1]), 3),
                    "parts": timed(parts, rounds),
                }
            )
    versions = {"python": platform.python_version(), "opencv": cv2.__version__, "numpy": np.__version__}
    print(json.dumps({"frame_hw": FRAME_HW, "threads": 1, "versions": versions, "cases": cases}, indent=1))


if __name__ == "__main__":
    main()
