"""What live outputs cost in processor time: packets recorded against decoded, HLS against a video file.

    python benchmarks/live_outputs.py --out benchmarks/live_outputs.json

The synthetic scene at 720p, H.264. Prints one JSON: milliseconds of processor time a picture (so that other
programs on the machine matter little), the two sides of each pair in turns, and the median of the turns;
resident memory of the program that publishes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import av

from streamseg.capture.packet_feed import PacketFeed
from streamseg.capture.utc_clock import UtcClock
from streamseg.encoded import EncodedPacket
from streamseg.scene import SyntheticScene
from streamseg.sinks.broadcast_sink import BroadcastSink
from streamseg.sinks.recorder import ClipSpan, Recorder
from streamseg.sinks.shelf import Shelf
from streamseg.sinks.video_sink import VideoSink
from streamseg.structures import Frame, Instances, Result, Tracks
from streamseg.version import __version__

HW = (720, 1280)
PICTURES = 150
TURNS = 5


def results() -> list[Result]:
    """A scene of five seconds."""
    scene = SyntheticScene(3, HW)
    made = []
    for index in range(PICTURES):
        image = scene.frame(index)[0]
        frame = Frame(image, index, index / 30, time.monotonic_ns(), "scene", time.time_ns(), "arrival")
        instances = Instances.empty(HW)
        made.append(Result(frame, instances, Tracks.untracked(instances), ("thing",), canvas=image))
    return made


def packets_of(path: Path) -> list[EncodedPacket]:
    taken: list[EncodedPacket] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        feed = PacketFeed(stream, "scene", taken.append, UtcClock())
        for packet in container.demux():
            feed.take(packet, None, stamped=True)
    return taken


def recorded(packets: list[EncodedPacket], folder: Path) -> None:
    """Segments, and the ring of clips."""
    shelf = Shelf(folder, None, None)
    recorder = Recorder(shelf, shelf, segment_s=60, span=ClipSpan(5, 10))
    for packet in packets:
        recorder.put("scene", packet)
    recorder.interrupt()
    recorder.run()


def decoded(packets: list[EncodedPacket]) -> None:
    decoder = av.CodecContext.create("h264", "r")
    for packet in packets:
        decoder.decode(av.Packet(packet.data))


def cost_ms(work: Callable[[], Any]) -> float:
    """Processor time of this process and of what it started and saw end, a picture."""
    began = _seconds()
    work()
    return 1000 * (_seconds() - began) / PICTURES


def _seconds() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def written(sink: VideoSink | BroadcastSink, shown: list[Result]) -> float:
    """Megabytes of the program behind the sink, 0 where there is none."""
    for result in shown:
        sink.write(replace(result))
    process = getattr(sink, "_process", None)
    megabytes = _resident_mb(process.pid) if process else 0.0
    sink.close()
    return megabytes


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    shown = results()
    megabytes: list[float] = []
    turns: dict[str, list[float]] = {"record": [], "decode": [], "hls": [], "file": [], "start": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(VideoSink(folder / "scene.mp4"), shown)
        packets = packets_of(folder / "scene.mp4")
        hls = str(folder / "live.m3u8")
        for _ in range(TURNS):
            turns["record"].append(cost_ms(lambda: recorded(packets, folder / "rec")))
            turns["decode"].append(cost_ms(lambda: decoded(packets)))
            turns["file"].append(cost_ms(lambda: written(VideoSink(folder / "again.mp4"), shown)))
            turns["start"].append(cost_ms(lambda: written(BroadcastSink(hls, "scene"), [])) * PICTURES)
            turns["hls"].append(
                cost_ms(lambda: megabytes.append(written(BroadcastSink(hls, "scene"), shown)))
                - turns["start"][-1] / PICTURES
            )
    middle = {key: round(median(values), 3) for key, values in turns.items()}
    report = {
        "streamseg": __version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "pictures": PICTURES,
        "bytes_a_picture": round(sum(len(packet.data) for packet in packets) / len(packets)),
        "record_ms": middle["record"],
        "decode_ms": middle["decode"],
        "record_of_decode": round(middle["record"] / middle["decode"], 3),
        "hls_ms": middle["hls"],
        "file_ms": middle["file"],
        "hls_of_file": round(middle["hls"] / middle["file"], 3),
        "program_start_ms": middle["start"],
        "program_mb": round(median(megabytes), 1),
        "turns": {key: [round(value, 3) for value in values] for key, values in turns.items()},
    }
    text = json.dumps(report, indent=2)
    print(text)
    if out:
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
