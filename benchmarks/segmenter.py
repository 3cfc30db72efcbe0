"""What the segmenter adds to an engine's time, for one 1280×720 frame with 20 instances: one JSON.

    python benchmarks/segmenter.py [--rounds 200]

The engine is a fake of no latency that finds 100 instances, 20 of them above the score. Milliseconds of wall
time with one OpenCV thread, best and median.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import cv2
import numpy as np

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.segmenter import Segmenter
from streamseg.structures import Frame

FOUND, KEPT = 100, 20
CASES = {"550x550": ((550, 550), (138, 138)), "320x448": ((320, 448), (80, 112))}


def fake_engine(input_hw: tuple[int, int], mask_hw: tuple[int, int]) -> FakeEngine:
    rng = np.random.default_rng(0)
    corners = np.sort(rng.random((1, FOUND, 2, 2), np.float32), axis=2).reshape(1, FOUND, 4)
    scores = np.full((1, FOUND), 0.1, np.float32)
    scores[0, :KEPT] = np.linspace(0.9, 0.4, KEPT)
    outputs = EngineOutputs(
        boxes=corners,
        scores=scores,
        classes=np.zeros((1, FOUND), np.int32),
        masks=rng.integers(0, 256, (1, FOUND, *mask_hw), np.uint8),
        count=np.array([FOUND], np.int32),
    )
    info = EngineInfo("fake", "fake", ("thing",), "stretch", input_hw, FOUND, 0.0)
    return FakeEngine(info, outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    frame = Frame(image, 0, 0.0, time.monotonic_ns(), "benchmark")
    report = {}
    for name, (input_hw, mask_hw) in CASES.items():
        segmenter = Segmenter(fake_engine(input_hw, mask_hw), score=0.3)
        took = []
        for _ in range(rounds):
            start = time.perf_counter()
            [found] = segmenter.segment([frame])
            took.append((time.perf_counter() - start) * 1e3)
        report[name] = {
            "instances": len(found.instances),
            "best_ms": round(min(took), 3),
            "median_ms": round(statistics.median(took[3:]), 3),
        }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
