"""The outputs of mmdetection's RTMDet-Ins-tiny on weights that can be made again, and how ours equal them.

    python benchmarks/rtmdet_reference.py [--shared ../shared] [--pictures 10] > benchmarks/rtmdet_parity.json

Ten pictures of COCO; torch, and the exported file in ONNX Runtime and OpenVINO, by way of the segmenter. Of
each picture the reference keeps the best 45. Where a score is 1 in float32 so are many, and which of them are
among the best is nobody's: those are left out and counted.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from family_reference import FAMILIES, picture, published_state, recorded
from numpy.typing import NDArray
from parity import ModuleEngine
from pycocotools import mask as coco_mask
from torch.nn.functional import interpolate

from streamseg.engines.base import BaseEngine
from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine
from streamseg.engines.openvino_engine import OpenVinoEngine
from streamseg.evaluation.parity import Findings, Parity, compare_detections
from streamseg.export.onnx_export import export
from streamseg.models.engine_module import EngineModule
from streamseg.models.network import Network, build_network
from streamseg.models.rtmdet import tail
from streamseg.models.weights.checkpoint import load_weights
from streamseg.segmenter import Segmenter, resize_into
from streamseg.structures import Frame, Instances

MODEL = "rtmdet_ins_tiny"
FOLDER = FAMILIES / "mmdet_rtmdet_ins_tiny"


class Picture(NamedTuple):
    """One picture and what the original finds in it."""

    name: str
    image: NDArray[np.uint8]
    expected: Findings
    left_out: int
    """Findings that are nobody's to compare: of score 1, or wholly beside the picture."""


def reference_network(shared: Path, folder: Path) -> Network:
    """The network with the reference's weights, by way of a file as mmdetection publishes it."""
    path = folder / "rtmdet.pth"
    torch.save({"meta": {"epoch": 300}, "state_dict": published_state(shared / FOLDER)}, path)
    model = build_network(MODEL)
    load_weights(model, path)
    return model.eval()


def pictures(shared: Path, count: int) -> Iterator[Picture]:
    """The first `count` of the reference's ten."""
    for entry in recorded(shared / FOLDER, count):
        height, width = entry["hw"]
        xyxy = np.array(entry["boxes"], np.float32).clip(0, [width, height, width, height])
        scores = np.array(entry["scores"], np.float32)
        compared = (scores < 1) & (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        masks = np.stack([coco_mask.decode(rle).astype(np.bool_) for rle in entry["masks"]])
        yield Picture(
            entry["file"],
            picture(shared, entry["file"]),
            Findings(np.array(entry["labels"])[compared], scores[compared], xyxy[compared], masks[compared]),
            int(np.count_nonzero(~compared)),
        )


def found_in(engine: BaseEngine, image: NDArray[np.uint8]) -> Instances:
    """Everything that an engine finds."""
    (found,) = Segmenter(engine, score=0.0).segment([Frame(image, 0, 0.0, 0, "")])
    return found.instances


def originals_size(frame_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[int, int]:
    """Height and width to which mmdetection takes the whole input's masks: whole, rounded up, by the factors
    of the other axis. Up to a pixel at the far border beside where the picture lies in the input, which is
    where ours are."""
    (height, width), scale = frame_hw, min(input_hw[0] / frame_hw[0], input_hw[1] / frame_hw[1])
    across, down = width / int(width * scale + 0.5), height / int(height * scale + 0.5)
    return math.ceil(input_hw[0] * across), math.ceil(input_hw[1] * down)


def measure(engine: BaseEngine, cases: list[Picture], *, as_the_original: bool = True) -> Parity:
    """All pictures added up."""
    total = Parity(0, 0, 0, 0.0, 0.0, 1.0)
    for case in cases:
        found = found_in(engine, case.image)
        if as_the_original:
            height, width = originals_size(found.masks.frame_hw, engine.info.input_hw)
            rows, columns = found.masks.soft.shape[1:]
            found = replace(found, masks=replace(found.masks, grid=(width / columns, height / rows)))
        total += compare_detections(case.expected, found)
    return total


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """IoU; 1 where both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def measure_logits(module: EngineModule, cases: list[Picture]) -> dict[str, float]:
    """IoU of masks with the original's before they are stored in 8 bits, interpolated in its steps."""
    overlaps: list[float] = []
    info, frame = module.info(), np.empty((1, *module.info().input_hw, 3), np.uint8)
    for case in cases:
        resize_into(frame[0], case.image, info)
        with patch.object(tail, "outline_unit", wraps=tail.outline_unit) as seen, torch.inference_mode():
            found = module(torch.from_numpy(frame))
            fine = interpolate(seen.call_args.args[0], scale_factor=8, mode="bilinear")
        height, width = case.image.shape[:2]
        size = originals_size((height, width), info.input_hw)
        pixels = (interpolate(fine, size=size, mode="bilinear")[0, :, :height, :width] > 0).numpy()
        for k, want in enumerate(case.expected.masks if case.expected.masks is not None else ()):
            shift = np.abs(found.scores[0].numpy() - case.expected.scores[k])
            same = np.flatnonzero((found.classes[0].numpy() == case.expected.classes[k]) & (shift < 1e-3))
            overlaps.append(max((overlap(pixels[row], want) for row in same), default=0.0))
    return {"masks": len(overlaps), "mean_iou": float(np.mean(overlaps)), "least_iou": min(overlaps)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--file", type=Path, help="an export of these weights, to spare making one")
    arguments = parser.parse_args()
    cases = list(pictures(arguments.shared, arguments.pictures))
    result: dict[str, Any] = {"model": MODEL, "left_out": sum(case.left_out for case in cases)}
    with tempfile.TemporaryDirectory() as folder:
        model = reference_network(arguments.shared, Path(folder))
        module = ModuleEngine(EngineModule(model))
        result["torch"] = asdict(measure(module, cases))
        result["torch, placed exactly"] = asdict(measure(module, cases, as_the_original=False))
        result["torch, before 8 bits"] = measure_logits(EngineModule(model), cases)
        print("torch done", file=sys.stderr)
        file = arguments.file or export(model, Path(folder) / "engine.onnx")
        with OnnxRuntimeEngine(file) as engine:
            result["onnxruntime"] = asdict(measure(engine, cases))
        with OpenVinoEngine(file, precision="fp32") as engine:
            result["openvino"] = asdict(measure(engine, cases))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
