"""What the live page costs: of a frame, of a viewer, and whether the run feels it.

    python benchmarks/page.py --out page.json

One run of a 1280×720 source and an engine of 20 ms is served the whole time. Periods without a viewer, with
one and with ten take turns; viewers are another process and acknowledge at once. For each: frames a second,
age at the sink, CPU milliseconds of the serving process per frame. Then the parts, alone; and what the
process grows by when sources come and go.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from websockets.sync.client import connect

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.metrics import LatencyQuantiles
from streamseg.serving.encoding import Encoder
from streamseg.serving.hub import Hub
from streamseg.sinks.list_sink import ListSink
from streamseg.streaming.config import load_config
from streamseg.streaming.config_file import ConfigFile
from streamseg.streaming.control import Control
from streamseg.streaming.job import Job
from streamseg.streaming.live import LivePage, PageView
from streamseg.streaming.outputs import open_shared, open_sinks

OBJECTS = 10
ENGINE_SECONDS = 0.02
SOURCE = "synthetic:3?size=1280x720&frames=100000000"
INFO = EngineInfo("fake", "ten discs", ("disc",), "stretch", (360, 640), OBJECTS, 0.05)
VIEWERS = (0, 1, 10)


def found(batch: Any) -> EngineOutputs:
    """Ten discs in two rows."""
    y, x = np.mgrid[:90, :160]
    masks = np.zeros((OBJECTS, 90, 160), np.uint8)
    boxes = np.zeros((OBJECTS, 4), np.float32)
    for k in range(OBJECTS):
        cx, cy, r = 16 + 32 * (k % 5), 22 + 45 * (k // 5), 13
        masks[k][(x - cx) ** 2 + (y - cy) ** 2 < r * r] = 255
        boxes[k] = (cx - r) / 160, (cy - r) / 90, (cx + r) / 160, (cy + r) / 90
    n = len(batch)
    scores = np.tile(np.linspace(0.9, 0.5, OBJECTS, dtype=np.float32), (n, 1))
    classes, count = np.zeros((n, OBJECTS), np.int32), np.full(n, OBJECTS, np.int32)
    return EngineOutputs(np.tile(boxes, (n, 1, 1)), scores, classes, np.tile(masks, (n, 1, 1, 1)), count)


def job_of(page: LivePage | None, extra: ListSink | None = None, frames: int | None = None) -> Job:
    config = load_config(None, {"sources": [SOURCE], "drop": "oldest", "max_frames": frames})
    shared = [*open_shared(config.output, 1), *([extra] if extra else [])]
    sinks = open_sinks(config.output, config.sources, shared=shared)
    part = page.part if page else None
    return Job(
        config,
        sinks,
        INFO,
        lambda: FakeEngine(INFO, found, latency_s=ENGINE_SECONDS),
        page=part,
        shared=shared,
    )


def watch(address: str, source_id: str) -> None:
    """One viewer, until it is killed."""
    with connect(address.replace("http", "ws") + "api/live", max_size=None, proxy=None) as viewer:
        viewer.send(json.dumps({"watch": [source_id]}))
        told = False
        while True:
            message = viewer.recv()
            if not told and len(message) > 20_000:
                told = True
                print("sees", flush=True)
            viewer.send(json.dumps({"ack": int.from_bytes(message[:4], "little")}))  # type: ignore[arg-type]


def viewers_of(count: int, address: str, source_id: str) -> Callable[[], None]:
    """Start them, all in one process; gives what ends them."""
    if not count:
        return lambda: None
    command = [sys.executable, __file__, "--watch", address, source_id, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(count):
        process.stdout.readline()

    def end() -> None:
        process.kill()
        process.communicate()

    return end


def period(job: Job, hub: Hub, seconds: float) -> dict[str, float]:
    """One measurement of the run as it is."""
    [stream] = job.streams.values()
    [meter] = stream.sink_meters.values()
    encodings = hub.encodings
    frames, began, cpu = meter.written.value, time.perf_counter(), time.process_time()
    meter.ages = LatencyQuantiles()
    time.sleep(seconds)
    frames = meter.written.value - frames
    ages = meter.ages.snapshot()
    return {
        "fps": frames / (time.perf_counter() - began),
        "cpu_ms_per_frame": 1e3 * (time.process_time() - cpu) / max(frames, 1),
        "encodings_per_frame": (hub.encodings - encodings) / max(frames, 1),
        "age_p50_ms": ages["p50_ms"],
        "age_p99_ms": ages["p99_ms"],
    }


def served(rounds: int, seconds: float) -> dict[str, Any]:
    page = LivePage(load_config(None, {"serve": {"address": "127.0.0.1:0"}}).serve)
    job = job_of(page)
    page.serve(job, ConfigFile(None, {}))
    thread = threading.Thread(target=job.run)
    thread.start()
    [source_id] = job.streams
    periods: dict[int, list[dict[str, float]]] = {count: [] for count in VIEWERS}
    try:
        time.sleep(2)
        for _ in range(rounds):
            for count in VIEWERS:
                end = viewers_of(count, page.address, source_id)
                time.sleep(0.5)
                periods[count].append(period(job, page.hub, seconds))
                end()
    finally:
        job.pipeline.stop(5)
        thread.join()
    medians = {
        str(count): {name: statistics.median(one[name] for one in of) for name in of[0]}
        for count, of in periods.items()
    }
    alone = medians["0"]
    return {
        "periods_median": medians,
        "cpu_ms_per_frame_of_one_viewer": medians["1"]["cpu_ms_per_frame"] - alone["cpu_ms_per_frame"],
        "cpu_ms_per_frame_of_nine_more_viewers": (
            medians["10"]["cpu_ms_per_frame"] - medians["1"]["cpu_ms_per_frame"]
        ),
        "fps_with_ten_to_none": medians["10"]["fps"] / alone["fps"],
        "age_p99_with_ten_to_none": medians["10"]["age_p99_ms"] / alone["age_p99_ms"],
    }


def changes(count: int) -> dict[str, float]:
    """Kilobytes that the process grows by, and threads and descriptors, per source added and removed."""
    page = LivePage(load_config(None, {"serve": {"address": "127.0.0.1:0"}}).serve)
    shared = open_shared(load_config().output, 2)
    job = Job(load_config(), {}, INFO, lambda: FakeEngine(INFO, found), page=page.part, shared=shared)
    page.serve(job, ConfigFile(None, {}))
    thread = threading.Thread(target=job.run)
    thread.start()
    [control, _] = job.companions
    assert isinstance(control, Control)
    marks = []
    try:
        for number in range(count + 1):
            source_id = control.add_source("synthetic:1?size=320x180&frames=2").result(60)
            while job.state_of(source_id).state != "ended":
                time.sleep(0.005)
            control.remove_source(source_id).result(60)
            if number in (count // 4, count):
                marks.append((rss_kb(), threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))))
    finally:
        job.pipeline.stop(5)
        thread.join()
    (rss, threads, descriptors), (rss_after, threads_after, descriptors_after) = marks
    return {
        "changes": count - count // 4,
        "kb_per_change": (rss_after - rss) / (count - count // 4),
        "threads": threads_after - threads,
        "descriptors": descriptors_after - descriptors,
    }


def rss_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def parts() -> dict[str, float]:
    """Milliseconds of encoding one 1280×720 frame with ten instances, medians of 30."""
    kept = ListSink()
    job_of(None, kept, 8).run()
    result = kept.results[-1]
    view = PageView()
    encoder = Encoder(view)
    head = encoder.encode(result, {"live"})["live"]
    return {
        "message_bytes": len(head),
        "message_ms": median_ms(lambda: encoder.encode(result, {"live"})),
        "picture_ms": median_ms(lambda: encoder.encode(result, {"clean"})),
        "painted_ms": median_ms(lambda: encoder.encode(result, {"painted"})),
        "picture_bytes": len(encoder.encode(result, {"clean"})["clean"]),
    }


def median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(30):
        began = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one period")
    parser.add_argument("--changes", type=int, default=200, help="sources added and removed")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--watch", nargs=3, metavar=("ADDRESS", "SOURCE", "COUNT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.watch:
        address, source_id, count = asked.watch
        threads = [threading.Thread(target=watch, args=(address, source_id)) for _ in range(int(count))]
        for thread in threads:
            thread.start()
        return
    report = {
        "cores": os.cpu_count(),
        "engine_ms": 1e3 * ENGINE_SECONDS,
        "objects": OBJECTS,
        **served(asked.rounds, asked.seconds),
        "parts": parts(),
        "sources_added_and_removed": changes(asked.changes),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
