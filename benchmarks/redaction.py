"""Leaks of redaction, counted in key-coloured pixels, and what redaction costs.

    python benchmarks/redaction.py keys [--seeds N]     every fault with every seed
    python benchmarks/redaction.py peers [--seeds N]    the same scenes through anonymisers that work by the
    frame python benchmarks/redaction.py speed                one 1280×720 frame with 20 instances
    python benchmarks/redaction.py davis --davis FOLDER people of DAVIS, found by the bundled engine

Each part replaces its own section of benchmarks/redaction.json, which docs/redaction.md quotes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from redaction_davis import davis
from redaction_peers import peers
from redaction_scene import FAULTS, run_stage

from streamseg.masks import Masks
from streamseg.overlay.painter import Painter
from streamseg.redaction import Redactor, Unreleased
from streamseg.structures import Frame, Instances, Result, Tracks

if TYPE_CHECKING:
    from streamseg.sinks.base import Sink

    def _nothing_takes_what_was_not_redacted(sink: Sink, raw: Unreleased) -> None:
        """mypy complains where this is ever allowed: the comment would be one for nothing."""
        sink.write(raw)  # type: ignore[arg-type]


REPORT = Path(__file__).with_suffix(".json")
FRAMES = 50
_EVERY = 10


def keys(seeds: int) -> Iterator[dict[str, Any]]:
    """Of each fault: what went in, what came out, and what it cost in covered picture; again after every
    `_EVERY` seeds, so that a run which is ended early has counted something."""
    total: dict[str, dict[str, float]] = {fault: defaultdict(float) for fault in FAULTS}
    leaking: dict[str, list[int]] = {fault: [] for fault in FAULTS}
    for seed in range(seeds):
        for fault in FAULTS:
            leak, _ = run_stage(seed, fault, FRAMES)
            row = total[fault]
            row["frames"] += leak.frames
            row["key_pixels_in"] += leak.painted
            row["key_pixels_out"] += leak.key_pixels
            row["frames_with_key_pixels_out"] += leak.key_frames
            row["frames_filled"] += leak.filled
            row["covered_share"] += leak.covered_share
            if leak.key_pixels:
                leaking[fault].append(seed)
        if (seed + 1) % _EVERY == 0 or seed + 1 == seeds:
            yield _summed(total, leaking, seed + 1)


def _summed(total: dict[str, dict[str, float]], leaking: dict[str, list[int]], seeds: int) -> dict[str, Any]:
    faults = {}
    for fault, row in total.items():
        counts = {key: int(value) for key, value in row.items() if key != "covered_share"}
        share = round(row["covered_share"] / seeds, 3)
        faults[fault] = {**counts, "covered_share": share, "leaking_seeds": leaking[fault]}
    return {"seeds": seeds, "frames_of_each": FRAMES, "faults": faults}


def _crowd(random: np.random.Generator) -> list[Unreleased]:
    """A second of a 1280×720 picture with 20 walkers, masks of 160 × 90 cells."""
    image = random.integers(0, 255, (720, 1280, 3)).astype(np.uint8)
    x, y = random.uniform(0, 1150, 20), random.uniform(0, 450, 20)
    items = []
    for k in range(30):
        left, top = x + 2 * k, y
        boxes = np.stack([left, top, left + 90, top + 230], axis=1).astype(np.float32)
        soft = np.zeros((20, 90, 160), np.uint8)
        for row, (x1, y1, x2, y2) in enumerate((boxes / 8).astype(int).tolist()):
            soft[row, y1:y2, x1:x2] = 255
        found = Instances(
            boxes, np.full(20, 0.9, np.float32), np.zeros(20, np.int32), Masks(soft, (8.0, 8.0), (720, 1280))
        )
        frame = Frame(image, k, k / 30, 0, "crowd")
        items.append(Unreleased(Result(frame, found, Tracks.untracked(found), ("person",)), found, 0))
    return items


def speed(rounds: int = 12) -> dict[str, Any]:
    """Redaction and the overlay, interleaved: milliseconds of one thread's CPU a frame, the best of the
    rounds."""
    cv2.setNumThreads(1)
    random = np.random.default_rng(1)
    best = {"redaction": np.inf, "overlay": np.inf}
    for _ in range(rounds):
        items = _crowd(random)
        parts: dict[str, Callable[[], None]] = {
            "redaction": lambda items=items: _redact(items),  # type: ignore[misc]
            "overlay": lambda items=items: _paint(items),  # type: ignore[misc]
        }
        for name, work in parts.items():
            began = time.thread_time()
            work()
            best[name] = min(best[name], (time.thread_time() - began) / len(items))
    made = {f"{name}_ms": round(1e3 * seconds, 2) for name, seconds in best.items()}
    return {**made, "redaction_to_overlay": round(best["redaction"] / best["overlay"], 2), "instances": 20}


def _redact(items: list[Unreleased]) -> None:
    redactor = Redactor(["person"], delay_s=0.5, fps=30)
    for item in items:
        list(redactor.take(item))
    list(redactor.finish())


def _paint(items: list[Unreleased]) -> None:
    painter = Painter()
    for item in items:
        result = item.result
        fresh = result.instances.select(np.arange(20))  # or masks would be drawn once for all rounds
        painter.draw(result.frame, fresh, result.tracks, result.class_names)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=["keys", "peers", "speed", "davis"])
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--davis", type=Path)
    parser.add_argument("--out", type=Path, default=REPORT)
    asked = parser.parse_args()
    if asked.part == "davis" and not asked.davis:
        parser.error("davis needs --davis FOLDER, with JPEGImages and Annotations in it")
    parts: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "keys": lambda: keys(asked.seeds),
        "peers": lambda: iter([peers(asked.seeds, FRAMES)]),
        "speed": lambda: iter([speed()]),
        "davis": lambda: iter([davis(asked.davis)]),
    }
    for made in parts[asked.part]():
        report = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.is_file() else {}
        asked.out.write_text(json.dumps({**report, asked.part: made}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
