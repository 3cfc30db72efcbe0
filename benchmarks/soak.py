"""A run that goes on for long: does it grow, slow down, or lose a camera?

    python benchmarks/soak.py --minutes 30 --out benchmarks/soak.json

The main job in a process of its own: four RTSP cameras on this machine (640×360, 30 frames a second, a
ball; two servers), an engine that finds the bright spot and takes 5 ms a call, a zone, live page, JSON
Lines, events to a file and to a real MQTT broker, an annotated .mkv of each camera. One server is killed
(kill -9) every two minutes and comes back five seconds later. Of two viewers one draws, one connects anew
every ten seconds.

Every five seconds: resident memory, threads and descriptors of the process (/proc), and /api/status. One
row a minute; slopes are fitted behind the first five minutes (or a third of a short run). Needs
tests/install_system_packages.sh.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from streamseg.cli.json_log import JsonFormatter
from streamseg.cli.live_view import run_with_log
from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.streaming.config_file import ConfigFile
from streamseg.streaming.job import Job
from streamseg.streaming.live import LivePage
from streamseg.streaming.outputs import open_shared, open_sinks
from streamseg.version import __version__

SERVER = Path(__file__).parents[1] / "tests" / "rtsp_server.py"
SAMPLE_S = 5.0
DEATHS_S = 120.0
AWAY_S = 5.0

CONFIG = """\
sources: [{sources}]
events:
  zones:
    middle: {{polygon: [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]], enter: 0.3, leave: 0.1}}
output:
  jsonl: data.jsonl
  events: events.jsonl
  publish: ["mqtt://127.0.0.1:{mqtt}/soak"]
  video: seen.mkv
serve: {{address: "127.0.0.1:{page}"}}
"""


INFO = EngineInfo("fake", "bright spot", ("spot",), "stretch", (90, 160), 1, 0.05)


def spot(batch: NDArray[np.uint8]) -> EngineOutputs:
    """What is bright in each picture, as one instance."""
    count = len(batch)
    bright = batch[..., 1] > 100
    boxes = np.zeros((count, 1, 4), np.float32)
    for b, one in enumerate(bright):
        y, x = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
        if len(y):
            boxes[b, 0] = x[0] / 160, y[0] / 90, (x[-1] + 1) / 160, (y[-1] + 1) / 90
    found = np.array([one.any() for one in bright], np.int32)
    scores = np.where(found[:, None] > 0, np.float32(0.9), np.float32(0))
    masks = (bright * np.uint8(255))[:, None]
    return EngineOutputs(boxes, scores, np.zeros((count, 1), np.int32), masks, found)


def serve(path: str) -> int:
    """The run that is watched."""
    file = ConfigFile(path, {})
    config = file.load()
    page = LivePage(config.serve)
    shared = open_shared(config.output, len(config.sources))
    job = Job(
        config,
        open_sinks(config.output, config.sources, shared=shared),
        INFO,
        lambda: FakeEngine(INFO, spot, latency_s=0.005),
        batch=4,
        page=page.part,
        shared=shared,
    )
    page.serve(job, file)
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler])
    logging.getLogger("streamseg").setLevel(logging.INFO)
    return run_with_log(job)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Camera:
    """An RTSP server that can be killed and started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/ball"
        self.start()

    def start(self) -> None:
        command = ["/usr/bin/python3", str(SERVER), str(self.port), "640", "360"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", "needs tests/install_system_packages.sh"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class Watching:
    """Viewers, until told to end."""

    def __init__(self, address: str) -> None:
        self.messages = self.connections = 0
        self._address = address
        self._over = threading.Event()
        stays = [threading.Thread(target=self._watch, args=(seconds,)) for seconds in (1e9, 10.0)]
        for thread in stays:
            thread.start()
        self._threads = stays

    def _watch(self, seconds: float) -> None:
        while not self._over.is_set():
            with suppress(OSError, WebSocketException, TimeoutError):
                self._view(time.monotonic() + seconds)
            self._over.wait(0.5)

    def _view(self, until: float) -> None:
        with connect(self._address, max_size=None, proxy=None, close_timeout=1) as viewer:
            self.connections += 1
            watched: list[str] = []
            while time.monotonic() < until and not self._over.is_set():
                message = viewer.recv(timeout=30)
                assert isinstance(message, bytes)
                self.messages += 1
                viewer.send(json.dumps({"ack": int.from_bytes(message[:4], "little")}))
                head = json.loads(message[8 : 8 + int.from_bytes(message[4:8], "little")])
                if "state" in head:
                    ids = [one["id"] for one in head["state"]["sources"]]
                    if ids != watched:
                        viewer.send(json.dumps({"watch": ids}))
                        watched = ids

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def sample(pid: int, address: str, began: float) -> dict[str, Any]:
    """One reading of the process and of what it says of itself."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    of = {line.split(":")[0]: line.split()[1] for line in status if len(line.split()) > 1}
    with urllib.request.urlopen(f"{address}api/status", timeout=30) as answer:
        sources = json.load(answer)["sources"]
    live = [one for one in sources if one["state"] == "live"]
    return {
        "minute": int((time.monotonic() - began) // 60),
        "rss_kb": int(of["VmRSS"]),
        "threads": int(of["Threads"]),
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "live": len(live),
        "fps": sum(one["fps"] for one in live),
        "p50_ms": max((one["age"]["p50_ms"] for one in live), default=None),
        "p99_ms": max((one["age"]["p99_ms"] for one in live), default=None),
        "captured": sum(one["captured"] for one in sources),
        "delivered": sum(one["delivered"] for one in sources),
        "reconnects": sum(one["reconnects"] for one in sources),
        "load": os.getloadavg()[0],
    }


def by_minute(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians of each minute; of the slowest live camera. Counts are those at its end."""
    rows = []
    for minute in sorted({one["minute"] for one in samples}):
        of = [one for one in samples if one["minute"] == minute]
        medians = {
            key: round(statistics.median([one[key] for one in of if one[key] is not None] or [0]), 1)
            for key in ("rss_kb", "threads", "descriptors", "live", "fps", "p50_ms", "p99_ms", "load")
        }
        counts = {key: of[-1][key] for key in ("captured", "delivered", "reconnects")}
        rows.append({"minute": minute, **medians, **counts})
    return rows


def slopes(samples: Sequence[dict[str, Any]], minutes: float) -> dict[str, float]:
    """Growth a minute of what must not grow, behind the beginning."""
    begins = min(5.0, minutes / 3)
    times = np.array([k * SAMPLE_S / 60 for k in range(len(samples))])
    later = times >= begins
    fitted = {}
    for key in ("rss_kb", "threads", "descriptors"):
        values = np.array([one[key] for one in samples], float)
        fitted[f"{key}_a_minute"] = round(float(np.polyfit(times[later], values[later], 1)[0]), 3)
    return fitted


@contextmanager
def broker(port: int, folder: Path) -> Iterator[None]:
    text = f"listener {port} 127.0.0.1\nallow_anonymous true\n"
    (folder / "mosquitto.conf").write_text(text, encoding="utf-8")
    command = ["/usr/sbin/mosquitto", "-c", str(folder / "mosquitto.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def watch(pid: int, address: str, dying: Camera, minutes: float) -> tuple[list[dict[str, Any]], int]:
    """Sample until the time is over; how often the camera died meanwhile."""
    samples: list[dict[str, Any]] = []
    began = time.monotonic()
    dies, returns, deaths = began + DEATHS_S / 2, float("inf"), 0
    while (now := time.monotonic()) < began + 60 * minutes:
        samples.append(sample(pid, address, began))
        if now >= dies:
            dying.kill()
            deaths, dies, returns = deaths + 1, now + DEATHS_S, now + AWAY_S
        if now >= returns:
            dying.start()
            returns = float("inf")
        time.sleep(max(0.0, began + SAMPLE_S * len(samples) - time.monotonic()))
    if returns != float("inf"):
        dying.start()
    return samples, deaths


def soak(minutes: float, folder: Path) -> dict[str, Any]:
    with ExitStack() as ending:
        cameras = [Camera(), Camera()]
        for camera in cameras:
            ending.callback(camera.kill)
        mqtt, page = free_port(), free_port()
        ending.enter_context(broker(mqtt, folder))
        sources = ", ".join(camera.url for camera in cameras for _ in range(2))
        config = folder / "run.yaml"
        config.write_text(CONFIG.format(sources=sources, mqtt=mqtt, page=page), encoding="utf-8")
        command = [sys.executable, __file__, "--serve", str(config)]
        environment = os.environ | {"XDG_STATE_HOME": str(folder / "state")}
        with (folder / "log").open("w", encoding="utf-8") as log:
            run = subprocess.Popen(command, cwd=folder, stderr=log, env=environment)
        ending.callback(run.kill)
        address = f"http://127.0.0.1:{page}/"
        until = time.monotonic() + 120
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{address}readyz", timeout=5):
                break
            if run.poll() is not None or time.monotonic() > until:
                raise SystemExit((folder / "log").read_text(encoding="utf-8"))
            time.sleep(0.5)
        viewers = Watching(f"ws://127.0.0.1:{page}/api/live")
        ending.callback(viewers.end)
        samples, deaths = watch(run.pid, address, cameras[1], minutes)
        viewers.end()
        run.send_signal(signal.SIGTERM)
        code = run.wait(60)
        log_lines = (folder / "log").read_text(encoding="utf-8").splitlines()
    rows = by_minute(samples)
    return {
        "minutes": minutes,
        "exit_code": code,
        "deaths": deaths,
        "viewer_messages": viewers.messages,
        "viewer_connections": viewers.connections,
        "slopes": slopes(samples, minutes),
        "p99_ms_second_minute": rows[min(1, len(rows) - 1)]["p99_ms"],
        "p99_ms_last_minute": rows[-1]["p99_ms"],
        "outputs": outputs(folder),
        "log_lines_that_are_no_json": sum(not line.startswith("{") for line in log_lines),
        "by_minute": rows,
    }


def outputs(folder: Path) -> dict[str, Any]:
    """What was written, as ffprobe and a JSON reader see it."""
    videos = {}
    for path in sorted(folder.glob("seen*.mkv")):
        command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        videos[path.name] = round(float(said), 1)
    events = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    frames = 0
    with (folder / "data.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            frames += bool(json.loads(line)["source"])
    return {"video_seconds": videos, "frames": frames, "events": sum(bool(json.loads(e)) for e in events)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", metavar="CONFIG", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        sys.exit(serve(asked.serve))
    began = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime())
    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        numbers = soak(asked.minutes, Path(folder))
    versions = {"streamseg": __version__, "python": platform.python_version(), "cpus": os.cpu_count()}
    text = json.dumps({"began": began, "versions": versions, **numbers}, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
