"""From the camera to the page: how old is what a viewer sees?

    python benchmarks/glass.py --out benchmarks/glass.json

A real RTSP server draws its clock as a barcode into each picture (tests/barcode_server.py), encodes and sends
it. The main job decodes it, asks an engine that takes 5 ms a call, tracks, and serves its page; a real
Chromium (Debian package chromium) draws it with a mask over it, and the bars are read back from its canvas
at every repaint and compared with the same clock. Rounds of both sizes take turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from seams import INFO, outputs_of

from streamseg.engines.fake_engine import FakeEngine
from streamseg.streaming.config import load_config
from streamseg.streaming.config_file import ConfigFile
from streamseg.streaming.job import Job
from streamseg.streaming.live import LivePage
from streamseg.streaming.outputs import open_shared, open_sinks
from streamseg.version import __version__

HERE = Path(__file__).parent
SIZES = ((640, 360), (1280, 720))

READ = """new Promise((done) => {
  const canvas = document.querySelector("canvas"), context = canvas.getContext("2d");
  const ages = [], until = performance.now() + SECONDS * 1000;
  let last = -1;
  function look() {
    const row = context.getImageData(0, Math.round(canvas.height / 12), canvas.width, 1).data;
    let code = 0;
    for (let bit = 0; bit < 32; bit++) {
      code = code * 2 + (row[4 * Math.floor((bit + 0.5) * Math.floor(canvas.width / 32)) + 1] > 110 ? 1 : 0);
    }
    const now = performance.timeOrigin + performance.now();
    if (code !== last) ages.push(now % 4294967296 - code);
    last = code;
    if (performance.now() < until) requestAnimationFrame(look);
    else done(ages);
  }
  look();
})"""


def browser_of(width: int, height: int) -> Any:
    """The tests' own, which is no module of the package."""
    spec = importlib.util.spec_from_file_location("browser", HERE.parent / "tests" / "serving" / "browser.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Browser(width, height)


def job_of(url: str) -> tuple[Job, LivePage]:
    config = load_config(None, {"sources": [url], "serve": {"address": "127.0.0.1:0"}})
    page = LivePage(config.serve)
    shared = open_shared(config.output, 2)
    sinks = open_sinks(config.output, config.sources, shared=shared)
    engine = lambda: FakeEngine(INFO, outputs_of, latency_s=0.005)  # noqa: E731
    job = Job(config, sinks, INFO, engine, page=page.part, shared=shared)
    page.serve(job, ConfigFile(None, {}))
    return job, page


def measure(width: int, height: int, seconds: float) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        "/usr/bin/python3",
        str(HERE.parent / "tests" / "barcode_server.py"),
        str(port),
        str(width),
        str(height),
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n", "needs tests/install_system_packages.sh"
    job, page = job_of(f"rtsp://127.0.0.1:{port}/clock")
    thread = threading.Thread(target=job.run)
    thread.start()
    try:
        with browser_of(1400, 1000) as browser:
            browser.open(page.address)
            browser.until(f"document.querySelector('canvas')?.width === {width}")
            time.sleep(3)
            ages = np.array(browser.run(READ.replace("SECONDS", str(seconds))))
    finally:
        job.pipeline.stop(5)
        thread.join()
        server.kill()
        server.communicate()
    sound = ages[(ages > 0) & (ages < 5000)]
    p50, p95, p99 = np.percentile(sound, (50, 95, 99))
    return {
        "size": f"{width}x{height}",
        "shown_a_second": round(len(sound) / seconds, 1),
        "unreadable": int(len(ages) - len(sound)),
        "p50_ms": round(float(p50), 1),
        "p95_ms": round(float(p95), 1),
        "p99_ms": round(float(p99), 1),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = [measure(*size, asked.seconds) for _ in range(asked.rounds) for size in SIZES]
    versions = {"streamseg": __version__, "python": platform.python_version(), "cpus": os.cpu_count()}
    text = json.dumps({"seconds": asked.seconds, "versions": versions, "measured": rows}, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
