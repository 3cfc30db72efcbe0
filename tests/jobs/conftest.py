"""Engines that went wrong in known ways, and what to try them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.jobs.stream import stream as stream_of
from streamseg.scene import SyntheticScene
from streamseg.structures import Result

FOOTAGE = "synthetic:3?frames=40&size=160x96&objects=4"


@pytest.fixture(scope="session")
def footage() -> str:
    """Forty frames; the tiny engine sees things in them."""
    return FOOTAGE


RULES = """
events:
  zones:
    middle: {polygon: [[0.3, 0.1], [0.8, 0.1], [0.8, 0.9], [0.3, 0.9]], loiter: 0.5}
    left: {polygon: [[0, 0], [0.4, 0], [0.4, 1], [0, 1]], at: box_foot}
  lines:
    gate: {points: [[0.0, 0.5], [1.0, 0.5]], after: 0.05}
    post: {points: [[0.5, 0.0], [0.5, 1.0]], at: foot, after: 0.05}
    low: {points: [[0.0, 0.7], [1.0, 0.7]], at: centre, after: 0.05}
    high: {points: [[0.0, 0.3], [1.0, 0.3]], at: centre, after: 0.05}
    west: {points: [[0.3, 0.0], [0.3, 1.0]], at: centre, after: 0.05}
    east: {points: [[0.7, 0.0], [0.7, 1.0]], at: centre, after: 0.05}
  occupancy:
    half: {polygon: [[0, 0], [1, 0], [1, 1], [0, 1]], over: 0.02, under: 0.01, after: 0.1}
  counts:
    crowd: {zone: middle, least: 2, after: 0.1}
  contacts:
    touch: {between: [shape, shape], within: 0.05, after: 0.1}
"""


@dataclass(frozen=True)
class RecordedRun:
    """A run that wrote everything, as it was live."""

    folder: Path
    clip: Path
    record: Path
    events: Path
    video: Path
    jsonl: Path
    rules: Path
    results: list[Result]


@pytest.fixture(scope="session")
def recorded_run(tmp_path_factory: pytest.TempPathFactory) -> RecordedRun:
    """A second and a half of moving shapes, seen by the bundled engine for them."""
    folder = tmp_path_factory.mktemp("recorded")
    names = ("clip.mp4", "run.rec", "events.jsonl", "live.mp4", "data.jsonl", "rules.yaml")
    clip, record, events, video, jsonl, rules = (folder / name for name in names)
    scene = SyntheticScene(5, (180, 320), 5)
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", 30)
        stream.height, stream.width, stream.pix_fmt = 180, 320, "yuv420p"
        for index in range(45):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene.frame(index)[0], "bgr24")))
        container.mux(stream.encode(None))
    rules.write_text(RULES, encoding="utf-8")
    output = {"record": str(record), "events": str(events), "video": str(video), "jsonl": str(jsonl)}
    overlay = {"status": False}
    with stream_of(str(clip), config=str(rules), engine="shapes", output=output, overlay=overlay) as results:
        kept = list(results)
    return RecordedRun(folder, clip, record, events, video, jsonl, rules, kept)


@pytest.fixture
def copy_of(tiny_engine_path: Path, tmp_path: Path) -> Path:
    """The tiny engine under a name of its own, so that it may have a sidecar."""
    path = tmp_path / "copy.onnx"
    path.write_bytes(tiny_engine_path.read_bytes())
    return path


@pytest.fixture
def altered(tiny_engine_path: Path, tmp_path: Path) -> Callable[..., Path]:
    """An engine with another first convolution, or other metadata."""

    def make(change: Callable[[np.ndarray], np.ndarray] | None = None, **metadata: str) -> Path:
        import onnx

        model = onnx.load(tiny_engine_path)
        if change:
            convolution = next(node for node in model.graph.node if node.op_type == "Conv")
            first = next(t for t in model.graph.initializer if t.name == convolution.input[1])
            weights = np.ascontiguousarray(change(onnx.numpy_helper.to_array(first)), np.float32)
            first.CopyFrom(onnx.numpy_helper.from_array(weights, first.name))
        for entry in model.metadata_props:
            entry.value = metadata.get(entry.key.removeprefix("streamseg."), entry.value)
        path = tmp_path / "altered.onnx"
        onnx.save(model, path)
        return path

    return make
