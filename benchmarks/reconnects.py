"""A source that is lost again and again: what 500 reconnects leave behind, and 20 deaths of an RTSP server.

    python benchmarks/reconnects.py --out benchmarks/reconnects.json

Prints one JSON. `reconnects`: an HTTP server in a process of its own hangs up after some frames, every time;
memory (VmRSS), threads and descriptors after every 25, and the slope of the memory behind the first hundred.
`deaths`: a real RTSP server (tests/rtsp_server.py) is killed and started again; seconds from its being ready
to the next frame.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

from streamseg.capture.live_source import LiveSource
from streamseg.capture.source import SourceOptions
from streamseg.version import __version__

ROOT = Path(__file__).parents[1]
SERVER = """
import socket, sys
stream = open(sys.argv[1], "rb").read()
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        line, _ = listener.accept()
        with line:
            line.recv(4096)
            line.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Type: video/mp2t\\r\\n\\r\\n" + stream)
"""


def clip(path: Path) -> None:
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", 30, {"bf": "0", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        for k in range(5):
            picture = np.full((360, 640, 3), 20 * k, np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        output.mux(video.encode(None))


def held() -> dict[str, int]:
    """What this process holds now."""
    status = Path("/proc/self/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    files = len(list(Path("/proc/self/fd").iterdir()))
    return {"rss_kb": rss, "threads": len(list(Path("/proc/self/task").iterdir())), "descriptors": files}


def reconnects_case(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "camera.ts"
        clip(path)
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        port = int(server.stdout.readline())
        readings = []
        began = time.monotonic()
        with LiveSource(f"http://127.0.0.1:{port}/", "cam", SourceOptions(max_backoff_s=0.02)) as source:
            next_reading = 0
            for _ in source:
                done = source.state.reconnects
                if done >= next_reading:
                    readings.append({"reconnects": done, **held()})
                    next_reading += 25
                if done >= count:
                    break
        server.kill()
        server.communicate()
    late = [r for r in readings if r["reconnects"] >= 100]
    slope = np.polyfit([r["reconnects"] for r in late], [r["rss_kb"] for r in late], 1)[0]
    return {
        "count": count,
        "seconds": round(time.monotonic() - began, 1),
        "rss_kb_per_reconnect": round(float(slope), 2),
        "threads": sorted({r["threads"] for r in late}),
        "descriptors": sorted({r["descriptors"] for r in late}),
        "readings": readings,
    }


def start_rtsp(port: int) -> subprocess.Popen[str]:
    command = ["/usr/bin/python3", str(ROOT / "tests" / "rtsp_server.py"), str(port), "320", "240"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n", "needs tests/install_system_packages.sh"
    return server


def deaths_case(count: int) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = start_rtsp(port)
    ready: list[float] = []
    back: list[float] = []
    before = held()
    with LiveSource(f"rtsp://127.0.0.1:{port}/ball", "cam") as source:

        def torment() -> None:
            nonlocal server
            for k in range(count):
                while source.state.reconnects < k:
                    time.sleep(0.01)
                time.sleep(random.uniform(2, 4))
                server.kill()
                server.communicate()
                time.sleep(random.uniform(0, 4))
                server = start_rtsp(port)
                ready.append(time.monotonic())

        thread = threading.Thread(target=torment)
        thread.start()
        frames = []
        for frame in source:
            frames.append(frame.pts_seconds)
            if source.state.reconnects > len(back):
                back.append(time.monotonic())
            if len(back) == count:
                break
        thread.join()
        after = held()
    server.kill()
    server.communicate()
    waits = [round(b - r, 2) for b, r in zip(back, ready, strict=True)]
    return {
        "count": count,
        "seconds_from_ready_to_frame": waits,
        "media_time_rises": all(b > a for a, b in itertools.pairwise(frames)),
        "before": before,
        "after": after,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--reconnects", type=int, default=500)
    parser.add_argument("--deaths", type=int, default=20)
    asked = parser.parse_args()
    numbers = {
        "reconnects": reconnects_case(asked.reconnects),
        "deaths": deaths_case(asked.deaths),
        "versions": {
            "streamseg": __version__,
            "python": platform.python_version(),
            "pyav": av.__version__,
            "load_average": round(os.getloadavg()[0], 1),
        },
    }
    text = json.dumps(numbers, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
