"""A decoded 1280×720 frame → the annotated frame, against the original implementation: one JSON.

    python benchmarks/frame.py yolact_r50 WEIGHTS.pth FP32.onnx INT8.onnx FRAME.png [--rounds 9]

FP32.onnx is what `streamseg export` wrote from the weights, INT8.onnx what `streamseg build --precision int8`
made of it. Ours is everything between the decoder and the encoder: resize, engine, tail, tracker, overlay.
Post-processing is inside the clock everywhere.

The original implementations no longer install, so their time here is inferred. Their parts were timed on two
threads of a quiet machine of this kind: for yolact_r50 0.346 s in the network and, for 12 masks (100 masks),
0.003 s of preparation, 0.038 (0.032) of decoding and Fast NMS, 0.017 (0.138) of mask assembly, 0.245 (0.308)
of drawing; for solov2_light_r50 0.302 s in backbone and neck, 0.126 in the heads, 0.003 of preparation and
0.280 of post-processing for 150 candidates (0.549 for 993). The drawing of the latter was not timed; it is
compared with ours up to the instances, without tracker and overlay.
Every round runs the same network in plain torch (float32, two threads) beside our engines. What that takes
now over what the original's network took then scales the original's other parts, and

    speedup = torch network now · (original's time / original's network) / our time.

So all that is measured comes from one interleaved run. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from streamseg import __version__
from streamseg.engines.load import load_engine
from streamseg.models.network import build_network
from streamseg.models.weights.checkpoint import load_weights
from streamseg.overlay.painter import Painter
from streamseg.segmenter import Segmenter
from streamseg.streaming.follow import Follow
from streamseg.structures import Frame
from streamseg.tracking.config import TrackerConfig

THREADS = 2


class Original(NamedTuple):
    """Seconds of the original implementation on two quiet threads."""

    network: float
    rest_few: float
    """Everything else, few masks."""
    rest_many: float
    draws: bool
    """Whether that includes the annotated picture."""


ORIGINALS = {
    "yolact_r50": Original(0.346, 0.003 + 0.038 + 0.017 + 0.245, 0.003 + 0.032 + 0.138 + 0.308, draws=True),
    "solov2_light_r50": Original(0.302 + 0.126, 0.003 + 0.280, 0.003 + 0.549, draws=False),
}
ENGINES = {
    "openvino_fp32": ("fp32", "openvino", "fp32"),
    "openvino_bf16": ("fp32", "openvino", "bf16"),
    "openvino_int8": ("int8", "openvino", "auto"),
    "onnxruntime_fp32": ("fp32", "onnxruntime", "fp32"),
    "onnxruntime_int8": ("int8", "onnxruntime", "fp32"),
}
"""Name → which of the two files, runtime, precision of what is not INT8."""


class Ours:
    """Decoded frame → annotated frame with one engine."""

    def __init__(self, path: Path, runtime: str, precision: str, score: float) -> None:
        engine = load_engine(path, runtime, precision, THREADS)
        self.names = engine.info.classes
        self.runtime = engine.runtime
        self.instances = 0
        self._segmenter = Segmenter(engine, score=score)
        self._follow = Follow(self.names, TrackerConfig.for_score_threshold(score))
        self._painter = Painter()

    def annotate(self, image: NDArray[np.uint8], index: int) -> tuple[float, float]:
        """Seconds to the instances and to the annotated frame."""
        began = time.perf_counter()
        frame = Frame(image, index, index / 25, time.monotonic_ns(), "benchmark")
        [found] = self._segmenter.segment([frame])
        segmented = time.perf_counter()
        [result] = self._follow.process([found])
        self.instances = len(result.instances)
        self._painter.draw(result.frame, result.instances, result.tracks, self.names)
        return segmented - began, time.perf_counter() - began


def torch_network(name: str, weights: Path, input_hw: tuple[int, int]) -> Callable[[], object]:
    """The network alone, float32, on a picture of its size."""
    network = build_network(name, input_hw=input_hw)
    load_weights(network, weights)
    network.eval()
    picture = torch.randn(1, 3, *input_hw)

    def run() -> object:
        with torch.inference_mode():
            return network(picture)

    return run


def measure(options: argparse.Namespace) -> dict[str, object]:
    torch.set_num_threads(THREADS)
    cv2.setNumThreads(THREADS)
    picture = cv2.imread(str(options.frame))
    assert picture is not None, f"{options.frame}: not a picture"
    image = np.asarray(cv2.resize(picture, (1280, 720)), np.uint8)
    files = {"fp32": options.fp32, "int8": options.int8}
    ours = {k: Ours(files[f], runtime, p, options.score) for k, (f, runtime, p) in ENGINES.items()}
    input_hw = load_engine(options.fp32, "onnxruntime").info.input_hw
    reference = torch_network(options.model, options.weights, input_hw)
    networks: list[float] = []
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ours}
    for index in range(options.rounds + 1):
        began = time.perf_counter()
        reference()
        networks.append(time.perf_counter() - began)
        for name, one in ours.items():
            took[name].append(one.annotate(image, index))
    return report(options.model, statistics.median(networks[1:]), took, ours)


def report(
    model: str, network: float, took: dict[str, list[tuple[float, float]]], ours: dict[str, Ours]
) -> dict[str, object]:
    """The first round, which warms up, is left out."""
    original = ORIGINALS[model]
    scale = network / original.network
    seconds = {
        name: [statistics.median(times) for times in zip(*rounds[1:], strict=True)]
        for name, rounds in took.items()
    }
    return {
        "model": model,
        "torch_network_ms": round(network * 1e3, 1),
        "machine_slower_than_the_original's": round(scale, 2),
        "engines": {
            name: {
                "runtime": ours[name].runtime,
                "instances_ms": round(to_instances * 1e3, 1),
                "frame_ms": round(to_frame * 1e3, 1),
                "instances": ours[name].instances,
                "speedup_few_masks": round(scale * (original.network + original.rest_few) / ours_s, 2),
                "speedup_many_masks": round(scale * (original.network + original.rest_many) / ours_s, 2),
            }
            for name, (to_instances, to_frame) in seconds.items()
            for ours_s in [to_frame if original.draws else to_instances]
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=ORIGINALS)
    for name in ("weights", "fp32", "int8", "frame"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--score", type=float, default=0.15, help="the original's own limit for drawing")
    numbers = measure(parser.parse_args())
    numbers["versions"] = {
        "streamseg": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
