"""Ids of other packages' trackers for given detections; run by benchmarks/tracking.py, in an environment
of their own: `PYTHON benchmarks/tracking_peers.py IN.npz OUT.npz` with `trackers` 2.6 installed there.

IN has for each sequence k its rate (frames per second), the frames that were not lost, and for all boxes
frame number, score and x1 y1 x2 y2. OUT has for each tracker and sequence the id of each box, -1 without.
Every tracker runs with its defaults and the sequence's rate; "TS": told the time of each frame as well.
`--speed N IN.npz OUT.json`: milliseconds of an update, as benchmarks/tracking.py takes them.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def makers() -> dict[str, Callable[[float], Any]]:
    from trackers import (  # type: ignore[import-not-found, unused-ignore]
        BoTSORTTracker,
        ByteTrackTracker,
        CBIoUTracker,
        OCSORTTracker,
        SORTTracker,
    )

    return {
        "SORT": lambda fps: SORTTracker(frame_rate=fps),
        "ByteTrack": lambda fps: ByteTrackTracker(frame_rate=fps),
        "OC-SORT": lambda fps: OCSORTTracker(frame_rate=fps),
        "C-BIoU": lambda fps: CBIoUTracker(frame_rate=fps),
        "BoT-SORT": lambda fps: BoTSORTTracker(frame_rate=fps, enable_cmc=False),
    }


def follow(tracker: Any, frames: Any, scores: Any, boxes: Any, seen: Any, fps: float | None) -> Any:
    """Ids of all boxes; `fps` None: the tracker is not told the time."""
    import supervision as sv

    ids = np.full(len(boxes), -1, np.int64)
    for frame in seen:
        rows = np.flatnonzero(frames == frame)
        if len(rows):
            found = sv.Detections(
                xyxy=boxes[rows].astype(np.float32),
                confidence=scores[rows].astype(np.float32),
                class_id=np.zeros(len(rows), int),
                data={"row": rows},
            )
        else:
            found = sv.Detections.empty()
        made = tracker.update(found, timestamp=None if fps is None else float(frame) / fps)
        if len(made):
            ids[made.data["row"]] = made.tracker_id
    return ids


def speed(repeats: int, given: Any) -> dict[str, float]:
    """Median over frames of the fastest update, by tracker."""
    import supervision as sv

    frames = len(given.files) // 2
    took = {}
    for name, make in makers().items():
        times = np.full((repeats, frames), np.inf)
        for repeat in range(repeats):
            tracker = make(30.0)
            for k in range(frames):
                xyxy, confidence = given[f"box{k}"], given[f"score{k}"]
                found = sv.Detections(xyxy=xyxy, confidence=confidence, class_id=np.zeros(len(xyxy), int))
                began = time.perf_counter()
                tracker.update(found)
                times[repeat, k] = time.perf_counter() - began
        took[name] = round(1e3 * float(np.median(times.min(axis=0))), 3)
    return took


def main() -> None:
    warnings.simplefilter("ignore")
    if sys.argv[1] == "--speed":
        report = speed(int(sys.argv[2]), np.load(sys.argv[3]))
        Path(sys.argv[4]).write_text(json.dumps(report))
        return
    given = np.load(sys.argv[1])
    out: dict[str, Any] = {}
    for name, make in makers().items():
        for k, fps in enumerate(given["fps"].tolist()):
            of_one = [given[f"{key}{k}"] for key in ("frame", "score", "box", "seen")]
            for told in (False, True):
                frames, scores, boxes, seen = of_one
                at = fps if told else None
                out[f"{name}{' TS' * told}|{k}"] = follow(make(fps), frames, scores, boxes, seen, at)
    np.savez(sys.argv[2], **out)


if __name__ == "__main__":
    main()
