"""Parity with the published implementations: writes docs/parity.md, prints one JSON.

    python benchmarks/parity.py [--reference ../shared/reference] [--out docs/parity.md] [--models NAME …]

For each configuration the reference's weights are made again by its own recipe, loaded through
`streamseg.models.layouts`, run in torch and, exported, in ONNX Runtime.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from streamseg.engines.contract import EngineOutputs
from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine
from streamseg.evaluation.parity import Detections, Parity, compare_detections, stretched_instances
from streamseg.export.module import EngineModule
from streamseg.export.onnx_export import export
from streamseg.export.tail import YolactTail
from streamseg.models.catalog import build_model
from streamseg.models.checkpoint import load_weights
from streamseg.models.yolact import RawHeads, Yolact

ROOT = Path(__file__).parents[1]
IMAGES = ("scene_a_640x480", "scene_b_375x500", "scene_c_1280x720", "yolact_example_0")


class Case(NamedTuple):
    """One configuration with the original's outputs."""

    model: str
    folder: str
    rows: int
    """Every so many rows of the raw heads are stored."""
    cells: int
    """Every so many rows and columns of the prototypes."""
    from_mmdetection: bool = False


CASES = (
    Case("yolact_r50", "yolact_resnet50", 1, 1),
    Case("yolact_plus_r50", "yolact_plus_resnet50", 16, 3),
    Case("mmdet_yolact_r50", "mmdet_yolact_r50", 16, 3, from_mmdetection=True),
)
KEYS_ONLY = {
    "yolact_r101": "yolact_base.json",
    "yolact_darknet53": "yolact_darknet53.json",
    "yolact_im400": "yolact_im400.json",
    "yolact_im700": "yolact_im700.json",
    "yolact_plus_r101": "yolact_plus_base.json",
    "yolact_r50_pascal": "yolact_resnet50_pascal.json",
    "mmdet_yolact_r101": "mmdet_yolact_r101_1xb8-55e_coco.json",
}


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
    detections: int = 0
    """Of a configuration without reference outputs: what its engine finds on the four pictures."""


def reference_state(listing: Path) -> dict[str, Tensor]:
    """The weights of a reference, by the recipe that lies beside it."""
    script = listing.parents[1] / "make_weights.py"
    spec = importlib.util.spec_from_file_location("make_weights", script)
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    content = json.loads(listing.read_text())
    return {
        entry["key"]: torch.from_numpy(np.ascontiguousarray(recipe.make_tensor(content["seed"], entry)))
        for entry in content["tensors"]
    }


def invented_state(listing: Path) -> dict[str, Tensor]:
    """Weights for keys and shapes alone, of sizes that keep activations alive and let classes be seen."""
    tensors = json.loads(listing.read_text())["tensors"]
    return {entry["key"]: _invented(entry["key"], entry["shape"]) for entry in tensors}


def _invented(key: str, shape: list[int]) -> Tensor:
    random = torch.rand(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode()))) * 2 - 1
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if len(shape) == 4:
        gain = 0.3 if "offset" in key else 1.2
        return random * gain * (3 / np.prod(shape[1:])) ** 0.5
    if key.endswith("running_var"):
        return 1 + random / 2
    if key.endswith("weight"):  # of batch normalisation; smaller where a residual is added
        return (1 + random * 0.3) * (0.3 if "bn3" in key or "conv2.1" in key else 1.0)
    return random * 0.1


def load(name: str, state: dict[str, Tensor], folder: Path, *, wrapped: bool) -> tuple[Yolact, Path]:
    """A model with `state`, by way of a file as it would have been published."""
    path = folder / f"{name}.pth"
    torch.save({"meta": {}, "state_dict": state} if wrapped else state, path)
    model = build_model(name)
    load_weights(model, path)
    return model.eval(), path


def float_frame(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> Tensor:
    """(1, h, w, 3) BGR in 0…255: resized without rounding, as the original does."""
    planes = torch.from_numpy(image).float().permute(2, 0, 1)[None]
    return interpolate(planes, size_hw, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def read_image(path: Path) -> NDArray[np.uint8]:
    """(h, w, 3) BGR."""
    return np.asarray(cv2.imread(str(path)), np.uint8)


class Original:
    """The reference outputs of one configuration."""

    def __init__(self, case: Case, reference: Path) -> None:
        self.case = case
        self.folder = reference / case.folder
        self.images = reference / "images"

    def image(self, name: str) -> NDArray[np.uint8]:
        return read_image(self.images / f"{name}.png")

    def exact_frame(self, name: str, size_hw: tuple[int, int]) -> Tensor:
        """What the original's network was given, before normalisation."""
        if self.case.from_mmdetection:
            return torch.from_numpy(self.rounded_frame(name, size_hw))
        return float_frame(self.image(name), size_hw)

    def rounded_frame(self, name: str, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """(1, h, w, 3) uint8 BGR, what an engine is given."""
        if self.case.from_mmdetection:
            image = cv2.resize(self.image(name), size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        else:
            image = read_image(self.images / f"{name}__{size_hw[1]}x{size_hw[0]}_u8.png")
        return np.asarray(image, np.uint8)[None]

    def raw(self) -> dict[str, NDArray[np.float32]]:
        """The raw heads of the first picture under our names, `conf` as logits or probabilities."""
        with np.load(self.folder / f"raw_{IMAGES[0]}.npz") as z:
            if self.case.from_mmdetection:
                conf = np.roll(z["cls_logits"], 1, axis=1)  # background first
                return {"loc": z["reg"], "logits": conf, "coeff": z["coeff"], "proto": z["proto"]}
            return {"loc": z["loc"], "conf": z["conf"], "coeff": z["mask"], "proto": z["proto"]}

    def detections(self, name: str, *, rounded: bool) -> Detections:
        """What the original finds in the exact frame or, rounded, in the frame of an engine."""
        prefix = "det_u8" if rounded and not self.case.from_mmdetection else "det"
        with np.load(self.folder / f"{prefix}_{name}.npz") as z:
            height, width = (int(n) for n in z["image_hw"])
            edges = np.array([width, height, width, height], np.float32)
            mmdet = self.case.from_mmdetection
            return Detections(
                classes=z["labels"] if mmdet else z["classes"],
                scores=z["scores"],
                # dbolya's own pixel boxes are cut to whole numbers; these are what they were made from.
                xyxy=(z["boxes"] if mmdet else z["det_box"] * edges).clip(0, edges),
                masks=np.unpackbits(z["masks_packed"], axis=-1)[..., :width].astype(np.bool_),
            )

    def across_classes(self, name: str, size_hw: tuple[int, int]) -> Detections:
        """dbolya's cross-class Fast NMS, in pixels of the network's input; its masks are not stored."""
        with np.load(self.folder / f"det_{name}.npz") as z:
            edges = np.array([size_hw[1], size_hw[0]] * 2, np.float32)
            return Detections(
                z["cc_det_class"], z["cc_det_score"], (z["cc_det_box"] * edges).clip(0, edges), None
            )


def outputs_from_tensors(tensors: tuple[Tensor, ...]) -> EngineOutputs:
    return EngineOutputs(*(tensor.numpy() for tensor in tensors))


def relative_differences(
    case: Case, heads: RawHeads, raw: dict[str, NDArray[np.float32]]
) -> dict[str, float]:
    """Per head, the largest difference divided by the largest value."""
    found = {
        "loc": heads.loc[0, :: case.rows],
        "conf": heads.conf[0, :: case.rows].softmax(-1),
        "logits": heads.conf[0, :: case.rows],
        "coeff": heads.coeff[0, :: case.rows],
        "proto": heads.proto[0, :: case.cells, :: case.cells],
    }
    return {
        name: float(np.abs(found[name].numpy() - want).max() / np.abs(want).max())
        for name, want in raw.items()
    }


def added(total: Parity | None, parity: Parity) -> Parity:
    return total + parity if total else parity


def measure_torch(model: Yolact, original: Original, images: tuple[str, ...]) -> Outcome:
    """Raw heads of the first picture, and detections of all, in torch."""
    outcome = Outcome(model.config.name)
    module, size_hw = EngineModule(model), model.config.input_hw
    across = YolactTail(model.priors, len(model.config.classes), max_detections=200, cross_class=True)
    for name in images:
        heads: list[RawHeads] = []
        handle = model.register_forward_hook(lambda _module, _input, output, kept=heads: kept.append(output))
        with torch.inference_mode():
            outputs = outputs_from_tensors(module(original.exact_frame(name, size_hw)))
            handle.remove()
            if name == IMAGES[0]:
                outcome.heads = relative_differences(original.case, heads[0], original.raw())
            if not original.case.from_mmdetection:
                found = stretched_instances(outputs_from_tensors(across(*heads[0])), size_hw)
                parity = compare_detections(original.across_classes(name, size_hw), found)
                outcome.cross_class = added(outcome.cross_class, parity)
        expected = original.detections(name, rounded=False)
        found = stretched_instances(outputs, original.image(name).shape[:2])
        outcome.torch = added(outcome.torch, compare_detections(expected, found))
    return outcome


def measure_onnx(engine: OnnxRuntimeEngine, original: Original, images: tuple[str, ...]) -> Parity:
    """Detections of the exported file, fed with uint8 frames."""
    total = None
    for name in images:
        outputs = engine.infer(original.rounded_frame(name, engine.info.input_hw))
        found = stretched_instances(outputs, original.image(name).shape[:2])
        total = added(total, compare_detections(original.detections(name, rounded=True), found))
    assert total is not None
    return total


def measure(case: Case, reference: Path, images: tuple[str, ...] = IMAGES) -> Outcome:
    """All numbers of a configuration that has reference outputs."""
    original = Original(case, reference)
    with tempfile.TemporaryDirectory() as folder:
        state = reference_state(original.folder / "keys.json")
        model, weights = load(case.model, state, Path(folder), wrapped=case.from_mmdetection)
        outcome = measure_torch(model, original, images)
        file = export(model, Path(folder) / "engine.onnx", checkpoint=weights)
        with OnnxRuntimeEngine(file) as engine:
            outcome.onnx = measure_onnx(engine, original, images)
    return outcome


def measure_keys_only(name: str, reference: Path, images: tuple[str, ...] = IMAGES) -> Outcome:
    """Loads and exports; `export` itself compares the file with torch."""
    with tempfile.TemporaryDirectory() as folder:
        state = invented_state(reference / "keys_only" / KEYS_ONLY[name])
        model, weights = load(name, state, Path(folder), wrapped=name.startswith("mmdet"))
        file = export(model, Path(folder) / "engine.onnx", checkpoint=weights)
        with OnnxRuntimeEngine(file) as engine:
            size_hw = engine.info.input_hw
            frames = [read_image(reference / "images" / f"{image}.png") for image in images]
            small = np.stack([cv2.resize(frame, size_hw[::-1]) for frame in frames]).astype(np.uint8)
            return Outcome(name, detections=int(engine.infer(small).count.sum()))


HEAD = """# Parity with the published implementations

Written by `python benchmarks/parity.py --out docs/parity.md`; `make parity` runs the tests that hold it to
this. Each configuration's weights are made again by the reference's recipe, loaded through
`streamseg.models.layouts` from a file in the published layout, and run on four pictures. *Equal* means: one
to one, same class, score within 0.001, box within 1 pixel of the picture, mask IoU at least 0.99 after our
own upsampling (`streamseg.masks`).

*Raw heads*: largest difference divided by the head's largest value. *torch*: the module, fed with what the
original's network was given (dbolya: resized in float). *ONNX Runtime*: the exported file, everything in its
graph, fed with uint8 frames, against the original fed with the same. *Cross-class*: `cross_class=True`
against the original's `cross_class_nms`: boxes, classes and scores.

| configuration | raw heads | torch: equal | ONNX Runtime: equal | cross-class: equal |
|---|---|---|---|---|
"""

ROUNDING = """
The contract stores a mask in 8 bits. A pixel whose upsampled value lies within half a level of one half may
therefore fall on either side: one pixel on the edge of a mask of thirty, or a patch where a mask is flat.
Every detection that is not equal is looked at again; *rounding* counts those that differ in such pixels
alone. Δ: the largest difference of a pair; boxes in pixels.

| configuration | run | found / expected | not equal | rounding | Δ score | Δ box | smallest mask IoU |
|---|---|---|---|---|---|---|---|
"""

ALONE = """
## Keys only

There are no outputs to compare with: keys and shapes are the published ones, weights are invented. Each
loads and exports, and its file agrees with torch in ONNX Runtime (`export` writes none that does not).

| configuration | detections on the four pictures |
|---|---|
"""


def share(parity: Parity | None) -> str:
    return f"{parity.equal} / {parity.expected} ({parity.share:.2%})" if parity else "–"


def differences(model: str, run: str, parity: Parity) -> str:
    numbers = f"{parity.score:.1e} | {parity.pixels:.4f} | {parity.mask_iou:.4f}"
    counts = f"{parity.found} / {parity.expected} | {parity.expected - parity.equal} | {parity.rounding}"
    return f"| {model} | {run} | {counts} | {numbers} |\n"


def document(outcomes: list[Outcome]) -> str:
    """docs/parity.md."""
    text = HEAD
    runs: list[tuple[str, str, Parity]] = []
    for o in outcomes:
        if o.torch and o.onnx:
            heads = max(o.heads.values())
            text += (
                f"| {o.model} | {heads:.1e} | {share(o.torch)} | {share(o.onnx)} | {share(o.cross_class)} |\n"
            )
            runs += [(o.model, "torch", o.torch), (o.model, "ONNX Runtime", o.onnx)]
    text += ROUNDING + "".join(differences(*run) for run in runs) + "\nThe detections that are not equal:\n\n"
    lines = [f"- {model}, {run}, {line}\n" for model, run, parity in runs for line in parity.differing]
    text += "".join(lines or ["- none\n"]) + ALONE
    text += "".join(f"| {o.model} | {o.detections} |\n" for o in outcomes if not o.torch)
    absent = [name for name in KEYS_ONLY if name not in {o.model for o in outcomes}]
    return text + (f"\nNot measured in this run: {', '.join(absent)}.\n" if absent else "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, default=ROOT.parent / "shared" / "reference")
    parser.add_argument("--out", type=Path, help="the document to write")
    names = [*(case.model for case in CASES), *KEYS_ONLY]
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    cases = {case.model: case for case in CASES}
    outcomes = []
    for name in arguments.models:
        print(f"{name} …", file=sys.stderr)
        in_full = name in cases
        reference = arguments.reference
        outcomes.append(measure(cases[name], reference) if in_full else measure_keys_only(name, reference))
    if arguments.out:
        arguments.out.write_text(document(outcomes))
    print(json.dumps([asdict(outcome) for outcome in outcomes]))


if __name__ == "__main__":
    main()
