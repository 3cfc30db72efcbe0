"""Batching, live ages and the cost of looking, with an engine of fixed cost per call.

    python benchmarks/seams.py --out seams.json

Prints one JSON. The engine is a FakeEngine that sleeps 5 ms a call, whatever the batch up to 8: no network
and no post-processing is inside the clock, everything else is. Compared cases take turns within one run.

- `file`: frames a second of one file of 320×180 in batches of up to 8, and one by one.
- `live`: eight sources of 30 frames a second and one alone: what is lost, and how old frames are at the sink;
  their frames come one after another, as of cameras that know nothing of each other, or all at once.
- `looking`: sixteen sources of 720p at 10 frames a second: the share of a core that the live line, four
  times a second, and the summary take.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import streamseg.streaming.openings as openings_module
from streamseg.capture.source import Source, SourceOptions
from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.sinks.null_sink import NullSink
from streamseg.streaming.config import load_config
from streamseg.streaming.job import Job
from streamseg.streaming.report import status_line, summary
from streamseg.structures import Frame
from streamseg.version import __version__

INFO = EngineInfo("fake", "fixed cost", ("thing",), "stretch", (96, 160), 10, 0.05)
CALL_SECONDS = 0.005
MOST = 8
ROUNDS = 5


def outputs_of(batch: NDArray[np.uint8]) -> EngineOutputs:
    """Three squares in every frame."""
    n, k = len(batch), INFO.max_detections
    boxes, scores = np.zeros((n, k, 4), np.float32), np.zeros((n, k), np.float32)
    masks = np.zeros((n, k, 24, 40), np.uint8)
    for row in range(3):
        left = 0.1 + 0.3 * row
        boxes[:, row] = left, 0.25, left + 0.2, 0.75
        scores[:, row] = 0.9 - 0.1 * row
        masks[:, row, 6:18, round(40 * left) : round(40 * (left + 0.2))] = 255
    return EngineOutputs(boxes, scores, np.zeros((n, k), np.int32), masks, np.full(n, 3, np.int32))


class PacedSource(Source):
    """One picture over and over, `fps` times a second."""

    def __init__(
        self, source_id: str, size_hw: tuple[int, int], fps: float, frames: int, late_s: float
    ) -> None:
        super().__init__(source_id, live=True)
        self.fps = self._rate = fps
        self._picture = np.full((*size_hw, 3), 90, np.uint8)
        self._frames = frames
        self._late_s = late_s
        self._woken = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        began = time.monotonic() + self._late_s
        for index in range(self._frames):
            if self._woken.wait(max(0.0, began + index / self._rate - time.monotonic())):
                return
            yield Frame(self._picture, index, index / self._rate, time.monotonic_ns(), self.source_id)

    def interrupt(self) -> None:
        super().interrupt()
        self._woken.set()

    def close(self) -> None:
        """Nothing is held."""


def job_of(specs: list[str], batch: int, **options: Any) -> Job:
    config = load_config(None, {"sources": specs, **options})
    sinks = {f"s{k}": [NullSink()] for k in range(len(specs))}
    return Job(config, sinks, INFO, lambda: FakeEngine(INFO, outputs_of, latency_s=CALL_SECONDS), batch=batch)


def paced_job(count: int, size_hw: tuple[int, int], fps: float, seconds: float, *, spread: bool) -> Job:
    frames = round(fps * seconds)

    def open_paced(spec: str, name: str, options: SourceOptions | None = None) -> Source:
        late_s = int(name[1:]) / (count * fps) if spread else 0.0
        return PacedSource(name, size_hw, fps, frames, late_s)

    openings_module.open_source = open_paced  # type: ignore[attr-defined, assignment]
    return job_of([f"synthetic:{k}" for k in range(count)], MOST, drop="oldest")


def clip_of(folder: Path, frames: int) -> Path:
    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 30, {"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for index in range(frames):
            image = np.full((180, 320, 3), 60, np.uint8)
            cv2.circle(image, (index % 320, 90), 30, (40, 200, 90), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode(None))
    return path


def file_rate(clip: Path, batch: int) -> float:
    job = job_of([str(clip)], batch)
    job.run()
    return float(summary(job)["sources"]["s0"]["fps"])


def file_case(folder: Path) -> dict[str, Any]:
    clip = clip_of(folder, 900)
    rates: dict[int, list[float]] = {1: [], MOST: []}
    for _, batch in itertools.product(range(ROUNDS), rates):
        rates[batch].append(file_rate(clip, batch))
    ratios = [many / one for one, many in zip(rates[1], rates[MOST], strict=True)]
    return {
        "fps_batch_1": [round(rate, 1) for rate in rates[1]],
        "fps_batch_8": [round(rate, 1) for rate in rates[MOST]],
        "ratio_median": round(statistics.median(ratios), 2),
        "ratio_best": round(max(ratios), 2),
    }


def live_run(count: int, seconds: float, *, spread: bool = False) -> dict[str, float]:
    job = paced_job(count, (360, 640), 30.0, seconds, spread=spread)
    job.run()
    numbers = summary(job)
    sources = numbers["sources"].values()
    age = numbers["age_ms"]["sink"]
    return {
        "captured": sum(source["captured"] for source in sources),
        "lost": sum(sum(source["dropped"].values()) for source in sources),
        "p50_ms": round(age["p50_ms"], 2),
        "p95_ms": round(age["p95_ms"], 2),
        "p99_ms": round(age["p99_ms"], 2),
    }


def live_case(seconds: float) -> dict[str, Any]:
    alone, spread, in_step = [], [], []
    for _ in range(ROUNDS):
        alone.append(live_run(1, seconds))
        spread.append(live_run(8, seconds, spread=True))
        in_step.append(live_run(8, seconds))
    return {
        "one": alone,
        "eight_spread": spread,
        "eight_in_step": in_step,
        "lost_spread": max(run["lost"] for run in spread),
        "lost_in_step": max(run["lost"] for run in in_step),
        "p50_growth_ms_spread": _growth(alone, spread),
        "p50_growth_ms_in_step": _growth(alone, in_step),
        "call_ms": 1e3 * CALL_SECONDS,
    }


def _growth(alone: list[dict[str, float]], eight: list[dict[str, float]]) -> float:
    """Median over the rounds."""
    pairs = zip(alone, eight, strict=True)
    return round(statistics.median(many["p50_ms"] - one["p50_ms"] for one, many in pairs), 2)


def looking_case(seconds: float) -> dict[str, Any]:
    shares, lines = [], ""
    for _ in range(3):
        job = paced_job(16, (720, 1280), 10.0, seconds, spread=True)
        spent = 0.0

        def refresh(job: Job = job) -> None:
            nonlocal spent, lines
            began = time.thread_time()
            lines = status_line(job)
            spent += time.thread_time() - began

        job.run(0.25, refresh)
        began = time.thread_time()
        summary(job)
        spent += time.thread_time() - began
        shares.append(spent / job.seconds)
    return {
        "share_of_a_core": [round(share, 5) for share in shares],
        "best": round(min(shares), 5),
        "last_line": lines.splitlines()[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each live run")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        numbers = {
            "file": file_case(Path(folder)),
            "live": live_case(asked.seconds),
            "looking": looking_case(asked.seconds),
            "versions": {
                "streamseg": __version__,
                "python": platform.python_version(),
                "numpy": np.__version__,
                "pyav": av.__version__,
                "cpus": os.cpu_count(),
                "load_average": os.getloadavg()[0],
            },
        }
    text = json.dumps(numbers, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
