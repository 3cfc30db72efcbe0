"""What the benchmarks run on: a 720p clip of about 20 moving objects, and an engine that knows them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.engine_contract import EngineInfo, EngineOutputs
from streamseg.engines.fake_engine import FakeEngine
from streamseg.scene import CLASS_NAME, SceneTruth, SyntheticScene

SIZE_HW = (720, 1280)
OBJECTS = 28  # of which about 20 are in the picture at a time
FPS = 30
MASK_HW = (138, 138)  # YOLACT-550's grid, the largest of our engines
INFO = EngineInfo("fake", "crowd", (CLASS_NAME,), "stretch", (550, 550), 100, 0.05)


def make_clip(path: Path, frames: int) -> list[SceneTruth]:
    """Write the clip; gives the truth of each frame."""
    scene = SyntheticScene(5, SIZE_HW, OBJECTS, FPS)
    truths = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", FPS, {"preset": "veryfast", "crf": "21"})
        stream.height, stream.width = SIZE_HW
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            image, truth = scene.frame(index)
            truths.append(truth)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode(None))
    return truths


def repeat_clip(path: Path, into: Path, times: int) -> None:
    """The clip's packets over and over, in one file, without encoding again."""
    with av.open(str(path)) as source, av.open(str(into), "w") as target:
        stream = source.streams.video[0]
        out = target.add_stream_from_template(stream)
        base = stream.time_base or Fraction(1, FPS)
        payload = [(bytes(p), p.pts or 0, p.dts or 0, p.is_keyframe) for p in source.demux(stream) if p.size]
        length = round(len(payload) / Fraction(FPS) / base)
        for round_ in range(times):
            for data, pts, dts, key in payload:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = out, base, key
                packet.pts, packet.dts = pts + round_ * length, dts + round_ * length
                target.mux(packet)


def knowing_engine(truths: list[SceneTruth], latency_s: float) -> FakeEngine:
    """Answers frame k with the true objects of frame k, modulo the clip's length; batch 1."""
    answers = [_outputs(truth) for truth in truths]
    return FakeEngine(INFO, _in_turn(answers), latency_s=latency_s)


def _in_turn(answers: list[EngineOutputs]) -> Callable[[NDArray[np.uint8]], EngineOutputs]:
    calls = 0

    def answer(_: NDArray[np.uint8]) -> EngineOutputs:
        nonlocal calls
        calls += 1
        return answers[(calls - 1) % len(answers)]

    return answer


def _outputs(truth: SceneTruth) -> EngineOutputs:
    most, count = INFO.max_detections, len(truth)
    boxes = np.zeros((1, most, 4), np.float32)
    boxes[0, :count] = truth.xyxy / np.array([*SIZE_HW[::-1], *SIZE_HW[::-1]], np.float32)
    scores = np.zeros((1, most), np.float32)
    scores[0, :count] = np.linspace(0.95, 0.6, count)
    masks = np.zeros((1, most, *MASK_HW), np.uint8)
    for row in range(count):
        visible = truth.mask(row).astype(np.uint8) * 255
        masks[0, row] = cv2.resize(visible, MASK_HW[::-1], interpolation=cv2.INTER_AREA)
    return EngineOutputs(boxes, scores, np.zeros((1, most), np.int32), masks, np.array([count], np.int32))
