"""Ages of results under load: the latency contract, many cameras, and the window of batches.

    python benchmarks/latency.py --out benchmarks/latency.json

Prints one JSON. The engine is a FakeEngine that sleeps for a fixed time a call, whatever the batch up to 8;
cameras give 720p pictures in time. Everything else of the main job is real. Compared cases take turns within
one run.

- `contract`: one camera of 30 frames a second and engines of several speeds, with `max_age_s: 0.15` and
  without: what is delivered, what is dropped and why, and how old results are when their sink has them.
- `cameras`: 1, 8 and 32 cameras that give 120 frames a second together, 5 ms a call: nobody starves.
- `rtsp`: a real RTSP server on this machine (tests/rtsp_server.py, 30 frames a second of 640x360, encoder
  included): milliseconds from its own clock (RTCP) to the decoded picture, and to the sink behind engines
  that are faster and slower than the camera.
- `window`: eight cameras out of step, 5 ms a call, with and without `engine.batch_window_s`: calls and ages.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from seams import INFO, MOST, PacedSource, outputs_of

import streamseg.streaming.openings as openings_module
from streamseg.capture.open import open_source
from streamseg.capture.source import Source, SourceOptions
from streamseg.engine_contract import EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.sinks.null_sink import NullSink
from streamseg.streaming.config import load_config
from streamseg.streaming.job import Job
from streamseg.streaming.report import summary
from streamseg.structures import Result
from streamseg.version import __version__

ROUNDS = 3
PROMISED_S = 0.15


class CoastedSink(NullSink):
    """Counts the results that the engine was not asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.coasted = 0

    def write(self, result: Result) -> None:
        super().write(result)
        self.coasted += result.coasted


def run(cameras: int, fps: float, seconds: float, call_s: float, **options: Any) -> dict[str, Any]:
    """One run; cameras begin one after another, evenly over the time of a frame."""

    def open_paced(spec: str, name: str, asked: SourceOptions | None = None) -> Source:
        return PacedSource(name, (720, 1280), fps, round(fps * seconds), int(name[1:]) / (cameras * fps))

    calls = []

    def make(batch: NDArray[np.uint8]) -> EngineOutputs:
        calls.append(len(batch))
        return outputs_of(batch)

    openings_module.open_source = open_paced  # type: ignore[attr-defined, assignment]
    specs = [f"synthetic:{k}" for k in range(cameras)]
    config = load_config(None, {"sources": specs, "drop": "oldest", **options})
    sinks = {f"s{k}": [CoastedSink()] for k in range(cameras)}
    job = Job(config, sinks, INFO, lambda: FakeEngine(INFO, make, latency_s=call_s), batch=MOST)
    job.run()
    numbers = summary(job)
    sources = numbers["sources"].values()
    age = numbers["age_ms"]["sink"]
    rates = [source["delivered"] / seconds for source in sources]
    return {
        "captured": sum(source["captured"] for source in sources),
        "delivered": sum(source["delivered"] for source in sources),
        "coasted": sum(sink.coasted for of_source in sinks.values() for sink in of_source),
        **{
            cause: sum(s["dropped"][cause] for s in sources) for cause in ("overrun", "too_old", "unfinished")
        },
        "fps_least": round(min(rates), 1),
        "fps_most": round(max(rates), 1),
        **{f"{q}_ms": round(age[f"{q}_ms"], 1) for q in ("p50", "p95", "p99", "max")},
        "calls": len(calls),
        "batch_mean": round(float(np.mean(calls)), 2) if calls else 0.0,
    }


def contract_case(seconds: float) -> list[dict[str, Any]]:
    rows = []
    for call_ms in (5, 40, 60, 200):
        for promised_s in (None, PROMISED_S):
            options = {"max_age_s": promised_s} if promised_s else {}
            numbers = run(1, 30.0, seconds, call_ms / 1e3, **options)
            rows.append({"call_ms": call_ms, "max_age_s": promised_s, **numbers})
    return rows


def cameras_case(seconds: float) -> list[dict[str, Any]]:
    together = 120.0
    return [{"cameras": n, **run(n, together / n, seconds, 0.005)} for n in (1, 8, 32)]


class AgeSink(NullSink):
    """Keeps how long ago each result was captured, by the sender's clock, where that is known."""

    def __init__(self) -> None:
        super().__init__()
        self.decoded_ms: list[float] = []
        self.written_ms: list[float] = []
        self._wall_minus_monotonic = time.time_ns() - time.monotonic_ns()

    def write(self, result: Result) -> None:
        super().write(result)
        frame = result.frame
        if frame.utc_ns is not None and frame.utc_from == "prft":
            decoded_ns = frame.captured_ns + self._wall_minus_monotonic
            self.decoded_ms.append((decoded_ns - frame.utc_ns) / 1e6)
            self.written_ms.append((time.time_ns() - frame.utc_ns) / 1e6)


def rtsp_run(url: str, call_s: float, seconds: float) -> dict[str, Any]:
    openings_module.open_source = open_source  # type: ignore[attr-defined]
    config = load_config(None, {"sources": [url]})
    sink = AgeSink()
    job = Job(config, {"cam": [sink]}, INFO, lambda: FakeEngine(INFO, outputs_of, latency_s=call_s))
    until = time.monotonic() + seconds

    def refresh() -> None:
        if time.monotonic() > until:
            job.pipeline.stop()

    job.run(0.1, refresh)
    quantiles = {}
    for name, ages in (("decoded", sink.decoded_ms), ("written", sink.written_ms)):
        p50, p95, p99 = np.percentile(ages, (50, 95, 99))
        quantiles[name] = {"p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "p99_ms": round(p99, 1)}
    return {"call_ms": round(1e3 * call_s), "frames": len(sink.decoded_ms), **quantiles}


def rtsp_case(seconds: float) -> list[dict[str, Any]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).parents[1] / "tests" / "rtsp_server.py"
    command = ["/usr/bin/python3", str(script), str(port), "640", "360"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n", "needs tests/install_system_packages.sh"
        try:
            return [rtsp_run(f"rtsp://127.0.0.1:{port}/ball", ms / 1e3, seconds) for ms in (5, 60)]
        finally:
            server.kill()


def window_case(seconds: float) -> list[dict[str, Any]]:
    rows = []
    for window_s in (0.0, 0.01, 0.033):
        numbers = run(8, 30.0, seconds, 0.005, engine={"batch_window_s": window_s})
        rows.append({"batch_window_s": window_s, **numbers})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each run")
    asked = parser.parse_args()
    rounds = [
        {
            "contract": contract_case(asked.seconds),
            "cameras": cameras_case(asked.seconds / 2),
            "rtsp": rtsp_case(asked.seconds),
            "window": window_case(asked.seconds / 2),
            "load_average": round(os.getloadavg()[0], 1),
        }
        for _ in range(ROUNDS)
    ]
    versions = {"streamseg": __version__, "python": platform.python_version(), "cpus": os.cpu_count()}
    text = json.dumps({"seconds": asked.seconds, "versions": versions, "rounds": rounds}, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
