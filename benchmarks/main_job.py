"""What the main job costs beside the engine: 720p H.264 in, annotated mp4 out, about 20 instances a frame.

    python benchmarks/main_job.py --out main_job.json
    python benchmarks/main_job.py --against ../before --out compared.json

Prints one JSON. CPU milliseconds are those of all threads of this process (time.process_time), the
parts measured one after another on the same frames, interleaved over several rounds; `whole` is the
pipeline itself with an engine that costs nothing. The engine is a FakeEngine: no network and no
post-processing is inside the clock. `--against` runs this checkout and another one in turn, each with its
own copy of this script, and adds how they compare.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import crowd
import cv2
import numpy as np

from streamseg import __version__
from streamseg.capture.file_source import FileSource
from streamseg.overlay.painter import Painter
from streamseg.scene import SceneTruth
from streamseg.segmenter import Segmenter
from streamseg.sinks.video_sink import VideoSink
from streamseg.streaming.config import load_config
from streamseg.streaming.follow import Follow
from streamseg.streaming.job import Job
from streamseg.streaming.outputs import open_sinks
from streamseg.streaming.report import summary
from streamseg.structures import Result
from streamseg.tracking.config import TrackerConfig

FRAMES = 300
ROUNDS = 3
TURNS = 2
ENGINE_SECONDS = 0.020
GROWTH_FRAMES = 5000
WARM_FRAMES = 600


def cpu_ms(work: Callable[[], Any], count: int) -> float:
    """CPU milliseconds of `work` per item, all threads."""
    began = time.process_time()
    work()
    return (time.process_time() - began) / count * 1e3


def parts(clip: Path, truths: list[SceneTruth], folder: Path) -> dict[str, float]:
    """Each part alone, on the output of the one before; milliseconds of CPU per frame."""
    frames: list[Any] = []
    segmented: list[Any] = []
    results: list[Result] = []
    segmenter = Segmenter(crowd.knowing_engine(truths, 0.0), score=0.1)
    follow = Follow((crowd.INFO.classes), TrackerConfig.for_score_threshold(0.3))
    painter, names = Painter(), crowd.INFO.classes
    sink = VideoSink(folder / "parts.mp4")
    costs = {
        "decode_and_bgr": cpu_ms(lambda: frames.extend(FileSource(clip, "clip")), len(truths)),
        "resize_and_masks": cpu_ms(
            lambda: segmented.extend(found for frame in frames for found in segmenter.segment([frame])),
            len(truths),
        ),
        "track": cpu_ms(lambda: results.extend(follow.process(segmented)), len(truths)),
    }
    canvases: list[Result] = []

    def draw() -> None:
        for r in results:
            canvas = painter.draw(r.frame, r.instances, r.tracks, names, status="50.0 fps  age 20 ms")
            canvases.append(Result(r.frame, r.instances, r.tracks, names, canvas=canvas))

    def encode() -> None:
        for result in canvases:
            sink.write(result)
        sink.close()

    costs["overlay"] = cpu_ms(draw, len(truths))
    costs["encode_and_mux"] = cpu_ms(encode, len(truths))
    costs["sum"] = sum(costs.values())
    return costs


def whole(clip: Path, truths: list[SceneTruth], frames: int, latency_s: float, video: Path) -> dict[str, Any]:
    """The pipeline as `streamseg run clip -o video` connects it, on an engine of a given latency."""
    options = {"sources": [str(clip)], "output": {"video": str(video)}}
    config = load_config(None, options)
    engine = crowd.knowing_engine(truths, latency_s)
    job = Job(config, open_sinks(config.output, config.sources), engine.info, lambda: engine)
    cpu = time.process_time()
    job.run()
    cpu = time.process_time() - cpu
    numbers = summary(job)
    source = numbers["sources"]["clip"]
    assert source["delivered"] == frames, source
    return {
        "cpu_ms_per_frame": cpu / frames * 1e3,
        "fps": source["fps"],
        "instances_per_frame": numbers["instances"] / frames,
        "work_ms_p50": {name: part["work"]["p50_ms"] for name, part in numbers["pipeline"]["parts"].items()},
    }


def resident_mb() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class MemorySink:
    """Notes the resident memory every hundred frames."""

    needs_canvas = False

    def __init__(self) -> None:
        self.readings: list[float] = []
        self._frames = 0

    def write(self, _: Result) -> None:
        self._frames += 1
        if self._frames % 100 == 0:
            self.readings.append(resident_mb())

    def close(self) -> None: ...


def memory(clip: Path, truths: list[SceneTruth], folder: Path) -> dict[str, float]:
    """Growth of resident memory after warm-up, over GROWTH_FRAMES frames of the whole pipeline."""
    long_clip = folder / "long.mp4"
    crowd.repeat_clip(clip, long_clip, -(-(GROWTH_FRAMES + WARM_FRAMES) // len(truths)))
    meter = MemorySink()
    config = load_config(
        None, {"sources": [str(long_clip)], "output": {"video": str(folder / "long-out.mp4")}}
    )
    sinks = open_sinks(config.output, config.sources)
    sinks["long"].append(meter)
    engine = crowd.knowing_engine(truths, 0.0)
    Job(config, sinks, engine.info, lambda: engine).run()
    warm = meter.readings[WARM_FRAMES // 100 :]
    return {
        "frames": len(warm) * 100,
        "warm_mb": statistics.median(warm[:5]),
        "end_mb": statistics.median(warm[-5:]),
        "growth_mb": statistics.median(warm[-5:]) - statistics.median(warm[:5]),
        "peak_mb": max(warm),
    }


def frame_copy_ms() -> float:
    """A yardstick for the machine as it is now: copying one 720p frame."""
    frame = np.zeros((*crowd.SIZE_HW, 3), np.uint8)
    times = []
    for _ in range(200):
        began = time.thread_time()
        frame.copy()
        times.append(time.thread_time() - began)
    return round(statistics.median(times) * 1e3, 3)


def columns(rounds: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Least and median of each figure: other programs on the same cores only ever add."""
    figures = {key: [row[key] for row in rounds] for key in rounds[0]}
    return {
        k: {"best": round(min(v), 3), "median": round(statistics.median(v), 3)} for k, v in figures.items()
    }


def measure(folder: Path, with_memory: bool) -> dict[str, Any]:
    clip = folder / "clip.mp4"
    truths = crowd.make_clip(clip, FRAMES)
    cv2.setNumThreads(1)
    alone, free, busy = [], [], []
    for _ in range(ROUNDS):
        alone.append(parts(clip, truths, folder))
        free.append(whole(clip, truths, FRAMES, 0.0, folder / "free.mp4"))
        busy.append(whole(clip, truths, FRAMES, ENGINE_SECONDS, folder / "busy.mp4"))
    ideal = 1 / ENGINE_SECONDS
    return {
        "frame_copy_ms": frame_copy_ms(),
        "parts_cpu_ms": columns(alone),
        "whole_cpu_ms": columns([{"cpu_ms": r["cpu_ms_per_frame"]} for r in free])["cpu_ms"],
        "whole_fps_free_engine": round(statistics.median(r["fps"] for r in free), 1),
        "instances_per_frame": free[0]["instances_per_frame"],
        "engine_20ms": {
            "fps": [round(r["fps"], 2) for r in busy],
            "share_of_ideal": [round(r["fps"] / ideal, 4) for r in busy],
            "work_ms_p50": busy[0]["work_ms_p50"],
        },
        "memory": memory(clip, truths, folder) if with_memory else None,
    }


def compared(before: Path) -> dict[str, Any]:
    """The checkout `before` and this one in turn, TURNS times: least CPU milliseconds and their ratio."""
    sides = {"before": before.resolve(), "after": Path(__file__).resolve().parents[1]}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, checkout in sides.items():
            runs[name].append(_best_of(checkout))
    least = {name: {key: min(run[key] for run in of) for key in of[0]} for name, of in runs.items()}
    ratio = {key: round(ms / least["before"][key], 3) for key, ms in least["after"].items()}
    return {"cpu_ms": least, "ratio": ratio, "turns": runs}


def _best_of(checkout: Path) -> dict[str, float]:
    """Least CPU milliseconds of each part and of the whole, as the script of `checkout` measures them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "numbers.json")
        script = [sys.executable, str(checkout / "benchmarks/main_job.py"), "--no-memory", "--out", str(out)]
        paths = os.environ | {"PYTHONPATH": str(checkout)}
        subprocess.run(script, env=paths, check=True, stdout=subprocess.DEVNULL)
        numbers = json.loads(out.read_text(encoding="utf-8"))
    figures = numbers["parts_cpu_ms"] | {"whole": numbers["whole_cpu_ms"]}
    return {key: column["best"] for key, column in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--no-memory", action="store_true", help="leave out the run over 5,000 frames")
    parser.add_argument("--against", type=Path, metavar="DIR", help="a checkout to compare this one with")
    asked = parser.parse_args()
    if asked.against:
        numbers = compared(asked.against)
    else:
        with tempfile.TemporaryDirectory() as folder:
            numbers = measure(Path(folder), not asked.no_memory)
    numbers["versions"] = {
        "streamseg": __version__,
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "pyav": av.__version__,
        "numpy": np.__version__,
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg()[0],
    }
    text = json.dumps(numbers, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
