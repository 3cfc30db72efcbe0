"""Parity with the published implementations: writes docs/parity.md, prints one JSON.

    python benchmarks/parity.py [--reference ../shared/reference] [--out docs/parity.md] [--models NAME …]

For each configuration weights in its published layout are made, loaded through
`streamseg.models.weights.layouts`, run in torch and, exported, in ONNX Runtime.
Where the reference has the original's outputs, both are compared with them; where not, with each
other. `--results FILE` keeps what was measured: a run that was interrupted goes on from there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from parity_document import document
from parity_reference import (
    CASES,
    DERIVED,
    IMAGES,
    LISTED,
    Case,
    Original,
    State,
    invented_state,
    read_image,
    reference_state,
)

from streamseg.engine_contract import EngineOutputs
from streamseg.engines.agreement import compare
from streamseg.engines.base import BaseEngine
from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine
from streamseg.evaluation.parity import Parity, compare_detections, stretched_instances
from streamseg.export.onnx_export import export
from streamseg.models.engine_module import EngineModule
from streamseg.models.network import Network, build_network
from streamseg.models.solo.config import SOLO_CONFIGS
from streamseg.models.weights.checkpoint import load_weights
from streamseg.models.yolact.tail import YolactTail
from streamseg.models.yolact.yolact import Yolact
from streamseg.segmenter import Segmenter, resize_into
from streamseg.structures import Frame, Instances

ROOT = Path(__file__).parents[1]
SMALL_HW = (256, 352)
"""Input of a SOLO whose outputs are not known: nothing in its weights depends on the size, its cost does."""


@dataclass
class Together:
    """How a file in ONNX Runtime and its network in torch agree on the same uint8 frames."""

    instances: int
    """What torch finds."""
    matched: float
    """Share of both sides' instances that have a partner."""
    score: float
    """Largest difference of a score."""
    mask_iou: float
    """Smallest IoU of two masks."""


@dataclass
class Outcome:
    """What was measured on one configuration."""

    model: str
    heads: dict[str, float] = field(default_factory=dict)
    """Largest difference of each raw head, relative to the head's largest value."""
    torch: Parity | None = None
    cross_class: Parity | None = None
    """Cross-class Fast NMS: boxes, scores and classes alone."""
    onnx: Parity | None = None
    together: Together | None = None
    """Of a configuration without reference outputs."""
    input_hw: tuple[int, int] = (0, 0)
    run: int = 0
    """Pictures that `streamseg run` got through with the file."""


def load(
    name: str, state: State, folder: Path, *, input_hw: tuple[int, int] | None = None
) -> tuple[Network, Path]:
    """A network with `state`, by way of a file as it would have been published."""
    path = folder / f"{name}.pth"
    if any(key.startswith("prediction_layers") for key in state):
        torch.save(state, path)
    elif any(key.startswith("ins_head") for key in state):
        torch.save({"model": state, "iteration": 269999}, path)
    else:
        torch.save({"meta": {}, "state_dict": state}, path)
    model = build_network(name, input_hw=input_hw)
    load_weights(model, path)
    return model.eval(), path


class ModuleEngine(BaseEngine):
    """The exported module itself, in torch."""

    def __init__(self, module: EngineModule) -> None:
        self._module = module
        super().__init__(module.info(), "torch", torch.__version__, "fp32")

    def _start(self, frames: NDArray[np.uint8]) -> None:
        with torch.inference_mode():
            self._outputs = outputs_from_tensors(self._module(torch.from_numpy(frames)))

    def _finish(self) -> EngineOutputs:
        return self._outputs

    def _release(self) -> None:
        pass


def outputs_from_tensors(tensors: tuple[torch.Tensor, ...]) -> EngineOutputs:
    return EngineOutputs(*(tensor.numpy() for tensor in tensors))


def relative_differences(
    case: Case, heads: tuple[torch.Tensor, ...], raw: dict[str, NDArray[np.float32]]
) -> dict[str, float]:
    """Per head, the largest difference divided by the largest value."""
    first: dict[str, torch.Tensor] = {key: value[0] for key, value in heads._asdict().items()}  # type: ignore[attr-defined]
    if case.is_solo:
        found = {**first, "features": first["features"][:, :: case.cells, :: case.cells]}
    else:
        logits = first["conf"][:: case.rows]
        found = {
            "loc": first["loc"][:: case.rows],
            "conf": logits.softmax(-1),
            "logits": logits,
            "coeff": first["coeff"][:: case.rows],
            "proto": first["proto"][:: case.cells, :: case.cells],
        }
    return {
        name: float(np.abs(found[name].numpy() - want).max() / np.abs(want).max())
        for name, want in raw.items()
    }


def added(total: Parity | None, parity: Parity) -> Parity:
    return total + parity if total else parity


def measure_torch(model: Network, original: Original, images: tuple[str, ...]) -> Outcome:
    """Raw heads of the first picture, and detections of all, in torch. `images` share the model's size."""
    outcome = Outcome(model.config.name)
    module, size_hw = EngineModule(model), model.config.input_hw
    for name in images:
        heads: list[Any] = []
        handle = model.register_forward_hook(lambda _module, _input, output, kept=heads: kept.append(output))
        if original.case.is_solo:
            found = fitted_instances(ModuleEngine(module), original.image(name))
        else:
            with torch.inference_mode():
                outputs = outputs_from_tensors(module(original.exact_frame(name, size_hw)))
            found = stretched_instances(outputs, original.image(name).shape[:2])
        handle.remove()
        if name == IMAGES[0]:
            outcome.heads = relative_differences(original.case, heads[0], original.raw())
        if isinstance(model, Yolact) and not original.case.from_mmdetection:
            across = measure_across_classes(model, heads[0], original, name)
            outcome.cross_class = added(outcome.cross_class, across)
        expected = original.detections(name, rounded=False)
        outcome.torch = added(outcome.torch, compare_detections(expected, found))
    return outcome


def measure_across_classes(model: Yolact, heads: Any, original: Original, name: str) -> Parity:
    size_hw = model.config.input_hw
    across = YolactTail(model.priors, len(model.config.classes), max_detections=200, cross_class=True)
    with torch.inference_mode():
        found = stretched_instances(outputs_from_tensors(across(*heads)), size_hw)
    return compare_detections(original.across_classes(name, size_hw), found)


def fitted_instances(engine: BaseEngine, image: NDArray[np.uint8]) -> Instances:
    """Everything an engine of SOLO's finds, by way of the segmenter, which resizes as the original does."""
    (found,) = Segmenter(engine, score=0.0).segment([Frame(image, 0, 0.0, 0, "")])
    return found.instances


def measure_onnx(engine: BaseEngine, original: Original, images: tuple[str, ...]) -> Parity:
    """Findings of the exported file, fed with uint8 frames."""
    total = None
    for name in images:
        image = original.image(name)
        if original.case.is_solo:
            found = fitted_instances(engine, image)
        else:
            outputs = engine.infer(original.rounded_frame(name, engine.info.input_hw))
            found = stretched_instances(outputs, image.shape[:2])
        total = added(total, compare_detections(original.detections(name, rounded=True), found))
    assert total is not None
    return total


def measure(case: Case, reference: Path, images: tuple[str, ...] = IMAGES) -> Outcome:
    """All numbers of a configuration that has reference outputs."""
    original = Original(case, reference)
    state = reference_state(original.folder / "keys.json")
    sizes = [original.padded_hw(name) if case.is_solo else None for name in images]
    total = Outcome(case.model)
    for size_hw in dict.fromkeys(sizes):
        same = tuple(name for name, size in zip(images, sizes, strict=True) if size == size_hw)
        with tempfile.TemporaryDirectory() as folder:
            model, weights = load(case.model, state, Path(folder), input_hw=size_hw)
            outcome = measure_torch(model, original, same)
            file = export(model, Path(folder) / "engine.onnx", checkpoint=weights)
            with OnnxRuntimeEngine(file) as engine:
                onnx = measure_onnx(engine, original, same)
            total.run += run(file, reference)
        assert outcome.torch
        total.heads = total.heads or outcome.heads
        total.torch, total.onnx = added(total.torch, outcome.torch), added(total.onnx, onnx)
        total.cross_class, total.input_hw = outcome.cross_class, model.config.input_hw
    return total


def measure_keys_only(name: str, reference: Path, images: tuple[str, ...] = IMAGES) -> Outcome:
    """Loads, exports, runs, and finds in ONNX Runtime what it finds in torch."""
    with tempfile.TemporaryDirectory() as folder:
        state = invented_state(name, reference)
        small = SMALL_HW if name in SOLO_CONFIGS else None
        model, weights = load(name, state, Path(folder), input_hw=small)
        file = export(model, Path(folder) / "engine.onnx", checkpoint=weights)
        pictures = [read_image(reference / "images" / f"{image}.png") for image in images]
        with OnnxRuntimeEngine(file) as engine:
            together = measure_together(ModuleEngine(EngineModule(model)), engine, pictures)
        done = run(file, reference)
    return Outcome(name, together=together, input_hw=model.config.input_hw, run=done)


def measure_together(
    reference: BaseEngine, engine: BaseEngine, pictures: list[NDArray[np.uint8]]
) -> Together:
    """Two engines on the same pictures, resized as both want them, one after the other."""
    frames = np.empty((1, *engine.info.input_hw, 3), np.uint8)
    shares, result = [], Together(0, 1.0, 0.0, 1.0)
    for picture in pictures:
        resize_into(frames[0], picture, engine.info)
        expected = reference.infer(frames)
        agreement = compare(expected, engine.infer(frames))
        shares.append(agreement.matched_share)
        result.instances += int(expected.count.sum())
        result.score = max(result.score, float(agreement.score_shift.max(initial=0)))
        result.mask_iou = min(result.mask_iou, float(agreement.mask_iou.min(initial=1)))
    result.matched = float(np.mean(shares))
    return result


def run(file: Path, reference: Path) -> int:
    """How many pictures `streamseg run` gets through with an engine, two in each runtime.

    Raises CalledProcessError.
    """
    done = 0
    for runtime in ("onnxruntime", "openvino"):
        lines = file.with_suffix(f".{runtime}.jsonl")
        pictures = str(reference / "images" / "scene_?_???x???.png")
        options = ("--engine", str(file), "--runtime", runtime, "--jsonl", str(lines))
        command = (sys.executable, "-m", "streamseg", "run", pictures, *options)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        done += len(lines.read_text().splitlines())
    return done


CONFIGURATIONS = (*(case.model for case in CASES), *LISTED, *DERIVED)


def measured(names: list[str], reference: Path, results: Path | None) -> list[dict[str, Any]]:
    """One row per configuration, from `results` where it is there already, which grows by the others."""
    rows: dict[str, dict[str, Any]] = {}
    if results and results.exists():
        rows = {row["model"]: row for row in map(json.loads, results.read_text().splitlines())}
    cases = {case.model: case for case in CASES}
    for name in names:
        if name in rows:
            continue
        print(f"{name} …", file=sys.stderr)
        outcome = measure(cases[name], reference) if name in cases else measure_keys_only(name, reference)
        rows[name] = asdict(outcome)
        if results:
            with results.open("a") as file:
                file.write(json.dumps(rows[name]) + "\n")
    return [rows[name] for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, default=ROOT.parent / "shared" / "reference")
    parser.add_argument("--out", type=Path, help="the document to write")
    parser.add_argument("--results", type=Path, help="JSON Lines, one per configuration, kept between runs")
    parser.add_argument("--models", nargs="+", choices=CONFIGURATIONS, default=CONFIGURATIONS)
    arguments = parser.parse_args()
    rows = measured(arguments.models, arguments.reference, arguments.results)
    if arguments.out:
        keys = {**dict.fromkeys(LISTED, "listed"), **DERIVED}
        arguments.out.write_text(document(rows, CONFIGURATIONS, keys))
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
