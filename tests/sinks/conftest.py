"""Results to write, and what is true of the file afterwards."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.structures import Frame, Instances, Masks, Result, Tracks


@dataclass
class Video:
    """What a reader that is not ours says of a video file."""

    pts: list[int]
    durations: list[int]
    keyframes: list[int]
    time_base: Fraction
    seconds: float


def probe(path: Path) -> Video:
    """By ffprobe where there is one, else by PyAV; raises when either finds fault with the file."""
    if not shutil.which("ffprobe"):
        return _probe_with_pyav(path)
    entries = "packet=pts,duration,flags:stream=time_base:format=duration"
    command = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr, done.stderr
    said = json.loads(done.stdout)
    return Video(
        pts=[packet["pts"] for packet in said["packets"]],
        durations=[packet.get("duration", 0) for packet in said["packets"]],
        keyframes=[packet["pts"] for packet in said["packets"] if "K" in packet["flags"]],
        time_base=Fraction(said["streams"][0]["time_base"]),
        seconds=float(said["format"].get("duration", "nan")),
    )


def _probe_with_pyav(path: Path) -> Video:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        return Video(
            pts=[packet.pts for packet in packets],
            durations=[packet.duration for packet in packets],
            keyframes=[packet.pts for packet in packets if packet.is_keyframe],
            time_base=stream.time_base,
            seconds=container.duration / av.time_base,
        )


@pytest.fixture
def probe_video() -> Callable[[Path], Video]:
    return probe


def result(
    index: int = 0,
    pts_seconds: float | None = None,
    *,
    image: np.ndarray | None = None,
    hw: tuple[int, int] = (96, 128),
    instances: Instances | None = None,
    ids: list[int] | None = None,
    source_id: str = "cam",
) -> Result:
    """One result with a canvas; frames 40 ms apart."""
    if image is None:
        image = np.random.default_rng(index).integers(0, 255, (*hw, 3), np.uint8)
    instances = instances if instances is not None else Instances.empty(image.shape[:2])
    tracks = Tracks.untracked(instances)
    if ids is not None:
        tracks = Tracks(np.array(ids, np.int64), tracks.age_seconds, tracks.state, tracks.xyxy)
    pts = index * 0.04 if pts_seconds is None else pts_seconds
    frame = Frame(image.copy(), index, pts, time.monotonic_ns(), source_id)
    return Result(frame, instances, tracks, ("person", "café"), canvas=image)


@pytest.fixture
def make_result() -> Callable[..., Result]:
    return result


@pytest.fixture
def two_instances() -> Instances:
    """In a frame of 96 x 128 pixels, masks on a grid of 24 x 32: an ellipse and a rectangle."""
    soft = np.zeros((2, 24, 32), np.uint8)
    y, x = np.mgrid[:24, :32]
    soft[0] = np.where(((x - 10) / 6) ** 2 + ((y - 10) / 8) ** 2 <= 1, 230, 0)
    soft[1, 12:20, 20:30] = 255
    return Instances(
        xyxy=np.array([[16, 8, 68, 76], [80, 48, 120, 80]], np.float32),
        score=np.array([0.91234567, 0.5], np.float32),
        class_id=np.array([1, 0], np.int32),
        masks=Masks(soft, (4.0, 4.0), (96, 128)),
    )


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for 300 kB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "streamseg-test", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no mount here: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)
