"""What a record costs: bytes, time of a frame, seeking, an hour of questions, pictures again.

    python benchmarks/record.py [--hour SECONDS] [--clip FILE]... [--out FILE]

Results of the synthetic scene, seen by the bundled engine for it, at three sizes of objects (and of clips,
seen by `compact`), are written as a record, and the same numbers in other containers: those whose packages
are installed (`pip install mcap pyarrow`). Bytes are for ten instances and 30 frames a second. The hour is
the scene again and again, with new ids each time. CPU seconds beside wall seconds: machines are shared.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np

from streamseg.jobs.query import query
from streamseg.jobs.render import render
from streamseg.jobs.stream import stream
from streamseg.records.block import PackedBlock
from streamseg.records.store import RunRecord
from streamseg.scene import SyntheticScene
from streamseg.sinks.jsonl_sink import JsonlSink
from streamseg.sinks.record_sink import RecordSink
from streamseg.structures import Result

SCENE = "synthetic:7?frames={frames}&size={width}x{height}&objects=10"
FRAMES = 150
FPS = 30
RULES = {
    "zones": {
        "zone": {"polygon": [[0.2, 0.2], [0.6, 0.2], [0.6, 0.9], [0.2, 0.9]]},
        "yard": {"polygon": [[0.5, 0.5], [1, 0.5], [1, 1], [0.5, 1]], "at": "foot"},
    },
    "lines": {"line": {"points": [[0, 0.5], [1, 0.5]]}},
}


def seen(source: str, engine: str, frames: int) -> list[Result]:
    """Results with their masks worked out, on one black picture."""
    kept = []
    black: Any = None
    with stream(source, engine=engine, max_frames=frames) as results:
        for result in results:
            black = np.zeros_like(result.frame.image) if black is None else black
            _ = result.instances.pixels.runs
            kept.append(replace(result, frame=replace(result.frame, image=black)))
    return kept


def again(results: Sequence[Result], seconds: float) -> Iterator[Result]:
    """The same over and over, media time, indexes and ids going on."""
    step = 1 / FPS
    top = max(int(result.tracks.id.max(initial=0)) for result in results)
    for number in range(round(seconds * FPS)):
        turn, k = divmod(number, len(results))
        result = results[k]
        tracks = replace(result.tracks, id=np.where(result.tracks.id > 0, result.tracks.id + turn * top, -1))
        frame = replace(result.frame, index=number, pts_seconds=number * step)
        yield replace(result, frame=frame, tracks=tracks)


def write_record(path: Path, results: Sequence[Result], seconds: float) -> dict[str, float]:
    """Written as fast as it goes, but flushed for every second of media; milliseconds of a frame."""
    sink = RecordSink(path)
    wall, cpu = time.perf_counter(), time.process_time()
    spent = 0.0
    for result in again(results, seconds):
        began = time.perf_counter()
        sink.write(result)
        if result.frame.index % FPS == FPS - 1:
            sink._flush(time.monotonic())
        spent += time.perf_counter() - began
    sink.close()
    frames = round(seconds * FPS)
    return {
        "write_ms_per_frame": round(1e3 * spent / frames, 3),
        "wall_s": round(time.perf_counter() - wall, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
    }


def sizes(results: Sequence[Result], folder: Path) -> dict[str, Any]:
    """Kilobytes a second at ten instances, by container."""
    seconds = 20.0
    per_frame = float(np.mean([len(result.instances) for result in results]))
    runs = [len(runs.row) / 2 for result in results for runs in result.instances.pixels.runs]
    path = folder / "a.rec"
    write_record(path, results, seconds)
    scale = 10 / per_frame / seconds / 1000
    with RunRecord(path) as recording:
        blocks = [
            PackedBlock(*row) for row in recording._rows("SELECT numbers, masks FROM blocks ORDER BY id")
        ]
    numbers, masks = (sum(len(block[part]) for block in blocks) for part in range(2))
    jsonl = JsonlSink(folder / "a.jsonl")
    for result in again(results, seconds):
        jsonl.write(result)
    jsonl.close()
    made: dict[str, Any] = {
        "instances": round(per_frame, 2),
        "runs_of_a_mask": round(float(np.mean(runs)), 1),
        "record": round(path.stat().st_size * scale, 1),
        "of_that_numbers": round(numbers * scale, 1),
        "of_that_masks": round(masks * scale, 1),
        "json_lines": round((folder / "a.jsonl").stat().st_size * scale, 1),
    }
    if find_spec("mcap"):
        made["mcap"] = round(mcap_bytes(blocks) * scale, 1)
    if find_spec("pyarrow"):
        made["parquet"] = round(parquet_bytes(again(results, seconds)) * scale, 1)
    return made


def mcap_bytes(blocks: Sequence[PackedBlock]) -> int:
    """The same blocks, a message a second, each in a chunk of its own as a kill must not lose more."""
    writer_of: Any = importlib.import_module("mcap.writer")
    file = io.BytesIO()
    writer = writer_of.Writer(file, chunk_size=1)
    writer.start()
    schema = writer.register_schema(name="block", encoding="", data=b"")
    channels = [writer.register_channel(name, "binary", schema) for name in PackedBlock._fields]
    for number, block in enumerate(blocks):
        for channel, content in zip(channels, block, strict=True):
            writer.add_message(channel, number * 10**9, content, number * 10**9)
    writer.finish()
    return file.tell()


def parquet_bytes(results: Iterator[Result]) -> int:
    """A row for each instance, masks as differences of their runs, a row group a second, zstd."""
    pa: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    file = io.BytesIO()
    writer = None
    rows: list[dict[str, Any]] = []
    for result in results:
        for k, runs in enumerate(result.instances.pixels.runs):
            rows.append(
                {
                    "index": result.frame.index,
                    "pts": result.frame.pts_seconds,
                    "track": int(result.tracks.id[k]),
                    "class": int(result.instances.class_id[k]),
                    "score": float(result.instances.score[k]),
                    **{f"box{side}": result.instances.xyxy[k, side] for side in range(4)},
                    **{f"track{side}": result.tracks.xyxy[k, side] for side in range(4)},
                    "column": np.diff(runs.column, prepend=0).astype(np.int16),
                    "top": np.diff(runs.row[::2], prepend=0).astype(np.int16),
                    "bottom": np.diff(runs.row[1::2], prepend=0).astype(np.int16),
                }
            )
        if result.frame.index % FPS == FPS - 1:
            table = pa.Table.from_pylist(rows)
            writer = writer or parquet.ParquetWriter(
                file, table.schema, compression="zstd", compression_level=9
            )
            writer.write_table(table)
            rows = []
    assert writer
    writer.close()
    return file.tell()


def seeks(path: Path, seconds: float) -> dict[str, float]:
    """Milliseconds to one frame at any time: opening, finding and decoding; and with the record open."""
    dice = random.Random(0)
    cold, warm = [], []
    with RunRecord(path) as opened:
        for _ in range(60):
            when = dice.uniform(0, seconds - 2)
            began = time.perf_counter()
            next(opened.blocks(opened.takes[0], when, when + 1 / FPS))
            warm.append(1e3 * (time.perf_counter() - began))
            began = time.perf_counter()
            with RunRecord(path) as recording:
                next(recording.blocks(recording.takes[0], when, when + 1 / FPS))
            cold.append(1e3 * (time.perf_counter() - began))
    return {
        "opened_ms_median": round(statistics.median(warm), 2),
        "opened_ms_p95": round(statistics.quantiles(warm, n=20)[-1], 2),
        "with_opening_ms_median": round(statistics.median(cold), 2),
        "with_opening_ms_p95": round(statistics.quantiles(cold, n=20)[-1], 2),
    }


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and CPU seconds, and what it gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    return round(time.perf_counter() - wall, 2), round(time.process_time() - cpu, 2), made


def asked(path: Path, folder: Path) -> dict[str, Any]:
    """Rules on the whole record."""
    rules = folder / "rules.yaml"
    rules.write_text(json.dumps({"events": RULES}), encoding="utf-8")
    wall, cpu, count = timed(lambda: query(path, rules, str(folder / "events.jsonl")))
    return {"wall_s": wall, "cpu_s": cpu, "events": count}


def drawn(folder: Path) -> dict[str, Any]:
    """A clip of the scene at 720p, recorded, and drawn again with its masks."""
    clip, path = folder / "clip.mp4", folder / "clip.rec"
    scene = SyntheticScene(7, (720, 1280), 10)
    with av.open(str(clip), "w") as container:
        video = container.add_stream("libx264", FPS, {"preset": "ultrafast"})
        video.height, video.width, video.pix_fmt = 720, 1280, "yuv420p"
        for index in range(FRAMES):
            container.mux(video.encode(av.VideoFrame.from_ndarray(scene.frame(index)[0], "bgr24")))
        container.mux(video.encode(None))
    with stream(str(clip), engine="shapes", output={"record": str(path)}) as results:
        for _ in results:
            pass
    ratios = []
    for _ in range(3):
        wall, cpu, done = timed(lambda: render(path, str(clip), folder / "out.mp4"))
        ratios.append((done.media_seconds / wall, done.media_seconds / cpu))
    best = max(ratios)
    return {
        "times_real_time": round(best[0], 1),
        "seconds_of_media_per_cpu_second": round(best[1], 1),
        "frames": done.frames,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hour", type=float, default=3600.0)
    parser.add_argument("--clip", action="append", default=[])
    parser.add_argument("--out", type=Path)
    asked_for = parser.parse_args()
    made: dict[str, Any] = {"cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = {}
        for width in (1280, 640, 320):
            spec = SCENE.format(frames=FRAMES, width=width, height=width * 9 // 16)
            scenes[f"scene {width}"] = seen(spec, "shapes", FRAMES)
        for clip in asked_for.clip:
            scenes[Path(clip).name] = seen(clip, "compact", FRAMES)
        made["kB_per_second_at_ten_instances"] = {
            scene: sizes(results, folder) for scene, results in scenes.items()
        }
        hour = folder / "hour.rec"
        made["hour"] = {
            "seconds": asked_for.hour,
            "written": write_record(hour, scenes["scene 1280"], asked_for.hour),
            "MB": round(hour.stat().st_size / 1e6, 1),
            "seek": seeks(hour, asked_for.hour),
            "query": asked(hour, folder),
        }
        made["render_720p"] = drawn(folder)
    made["load_after"] = round(os.getloadavg()[0], 1)
    text = json.dumps(made, indent=2)
    print(text)
    if asked_for.out:
        asked_for.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
