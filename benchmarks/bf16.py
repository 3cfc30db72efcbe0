"""What BF16 changes in an engine's detections, and what it gains: one JSON on standard output.

    python benchmarks/bf16.py SOURCE [SOURCE…] [--engine compact] [--frames 60] [--min-score 0.3]
        [--precision bf16]

Every frame goes through the engine in OpenVINO in FP32 and in the other precision, in turn. Instances of at
least the given score are matched by class and box (IoU above one half); those without a partner of any score
count as lost or as new. Milliseconds are those of one frame, best and median.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.capture.open import open_source
from streamseg.engine_contract import OUTPUT_NAMES, Engine, EngineOutputs
from streamseg.engines.agreement import Agreement, compare
from streamseg.engines.load import load_engine
from streamseg.engines.locate import find_engine


def frames_of(spec: str, count: int, input_hw: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """The first `count` frames at the engine's size, each (1, h, w, 3)."""
    source = open_source(spec, spec)
    try:
        resized = [cv2.resize(frame.image, input_hw[::-1]) for frame in islice(source, count)]
    finally:
        source.close()
    return [np.asarray(image, np.uint8)[None] for image in resized]


def timed(engine: Engine, frames: NDArray[np.uint8], took: list[float]) -> EngineOutputs:
    start = time.perf_counter()
    outputs = engine.infer(frames)
    took.append((time.perf_counter() - start) * 1e3)
    return EngineOutputs(*(getattr(outputs, name).copy() for name in OUTPUT_NAMES))


def spread(values: list[float], worst: float) -> dict[str, float]:
    """Median, the value that all but 5 % keep to, and the worst; `worst` says on which side that is."""
    if not values:
        return {}
    array = np.array(values)
    tail = 95 if worst > 0 else 5
    extreme = array.max() if worst > 0 else array.min()
    figures = {"median": np.median(array), f"p{tail}": np.percentile(array, tail), "worst": extreme}
    return {name: round(float(value), 5) for name, value in figures.items()}


def summary(agreements: list[Agreement]) -> dict[str, Any]:
    """The comparison of many frames in one."""

    def column(name: str) -> list[float]:
        return [float(value) for agreement in agreements for value in getattr(agreement, name)]

    lost, new = sum(a.only_reference for a in agreements), sum(a.only_other for a in agreements)
    matched = sum(a.matched for a in agreements)
    return {
        "frames": len(agreements),
        "instances_fp32": matched + lost,
        "matched": matched,
        "lost": lost,
        "new": new,
        "score_shift": spread(column("score_shift"), worst=1),
        "box_shift_relative": spread(column("box_shift"), worst=1),
        "mask_iou": spread(column("mask_iou"), worst=-1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--engine", default="compact")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--min-score", type=float, default=0.3)
    parser.add_argument("--precision", default="bf16")
    options = parser.parse_args()
    path = find_engine(options.engine)
    reference = load_engine(path, "openvino", "fp32")
    other = load_engine(path, "openvino", options.precision)
    took: tuple[list[float], list[float]] = [], []
    by_source = {}
    for spec in options.sources:
        agreements = [
            compare(
                timed(reference, frames, took[0]), timed(other, frames, took[1]), min_score=options.min_score
            )
            for frames in frames_of(spec, options.frames, reference.info.input_hw)
        ]
        by_source[spec] = summary(agreements)
    milliseconds = {
        engine.runtime: {"best": round(min(ms), 2), "median": round(float(np.median(ms)), 2)}
        for engine, ms in zip((reference, other), took, strict=True)
    }
    report = {
        "engine": reference.info.model,
        "checkpoint_sha256": reference.info.checkpoint_sha256,
        "min_score": options.min_score,
        "ms_per_frame": milliseconds,
        "sources": by_source,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
