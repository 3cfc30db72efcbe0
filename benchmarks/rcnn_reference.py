"""The outputs of torchvision's and mmdetection's Mask R-CNN on weights that can be made again, and how ours
equal them.

    python benchmarks/rcnn_reference.py [--shared ../shared] [--pictures 10] > benchmarks/rcnn_parity.json

Ten pictures of COCO at the original's own sizes. torch takes them as the original scaled them; the exported
file, which is for one size, those of 640×480, as whole levels: mmdetection's way, while torchvision scales
in floating point, so its own code is run on these levels beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from family_reference import FAMILIES, picture, published_state, recorded
from numpy.typing import NDArray
from parity import outputs_from_tensors
from pycocotools import mask as coco_mask
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNN
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from streamseg.engine_contract import EngineOutputs
from streamseg.engines.base import BaseEngine
from streamseg.engines.onnxruntime_engine import OnnxRuntimeEngine
from streamseg.engines.openvino_engine import OpenVinoEngine
from streamseg.evaluation.parity import Findings, Parity, compare_detections
from streamseg.export.onnx_export import export
from streamseg.masks import BoxGrids, Masks
from streamseg.models.engine_module import EngineModule
from streamseg.models.rcnn.config import RCNN_CONFIGS, RcnnConfig
from streamseg.models.rcnn.network import MaskRcnn
from streamseg.models.weights.layouts import our_state
from streamseg.structures import Instances

SHORT, LONG = 400, 672
"""To which the references' pictures were scaled: half of what is usual."""
EXPORTED_HW = (416, 544)
TO_UNIT = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Case(NamedTuple):
    """One picture, as the network takes it, and what the original finds in it."""

    frame: NDArray[np.uint8]
    """(h, w, 3) BGR, the picture at top left in whole levels."""
    planes: torch.Tensor
    """(1, 3, h, w), normalised: of the frame, or as torchvision scales in floating point."""
    extent_hw: tuple[int, int]
    """Of the picture in it."""
    picture_hw: tuple[int, int]
    expected: Findings


def torchvision_config(input_hw: tuple[int, int]) -> RcnnConfig:
    """For the reference, whose 90 classes are all looked at and whose variances have the usual hair."""
    names = tuple(map(str, range(1, 91)))
    config = RCNN_CONFIGS["maskrcnn_resnet50_fpn"]
    return replace(config, classes=names, channels=None, norm_eps=1e-5, input_hw=input_hw)


def mmdetection_config(input_hw: tuple[int, int]) -> RcnnConfig:
    return replace(RCNN_CONFIGS["mmdet_mask_rcnn_r50"], input_hw=input_hw)


Configured = Callable[[tuple[int, int]], RcnnConfig]
REFERENCES: dict[str, Configured] = {
    "torchvision_maskrcnn_r50_fpn": torchvision_config,
    "mmdet_mask_rcnn_r50": mmdetection_config,
}


def cases(shared: Path, name: str, count: int) -> Iterator[Case]:
    """The first `count` of the reference's ten."""
    first_class = 1 if name.startswith("torchvision") else 0
    transform = GeneralizedRCNNTransform(SHORT, LONG, *TO_UNIT)
    for entry in recorded(shared / FAMILIES / name, count):
        image = picture(shared, entry["file"])
        height, width = image.shape[:2]
        scale = min(SHORT / min(height, width), LONG / max(height, width))
        rows, columns = int(height * scale + 0.5), int(width * scale + 0.5)
        if first_class:
            rgb = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1).float() / 255
            scaled, _ = transform([rgb])
            planes, (rows, columns) = scaled.tensors, scaled.image_sizes[0]
        frame = padded(cv2.resize(image, (columns, rows)))
        if not first_class:
            planes = EngineModule(MaskRcnn(mmdetection_config(frame.shape[:2]))).normalised(
                torch.from_numpy(frame)[None]
            )
        yield Case(frame, planes, (rows, columns), (height, width), findings(entry, first_class))


def padded(image: NDArray[Any]) -> NDArray[np.uint8]:
    """To sides of multiples of 32 with the mean's colour."""
    rows, columns = image.shape[:2]
    below, beside = -rows % 32, -columns % 32
    bgr = [round(level) for level in reversed(RCNN_CONFIGS["mmdet_mask_rcnn_r50"].mean_rgb)]
    frame = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=bgr)
    return np.asarray(frame, np.uint8)


def findings(entry: dict[str, Any], first_class: int) -> Findings:
    height, width = entry["hw"]
    masks = np.stack([coco_mask.decode(rle).astype(np.bool_) for rle in entry["masks"]])
    xyxy = np.array(entry["boxes"], np.float32).clip(0, [width, height, width, height])
    return Findings(
        np.array(entry["labels"]) - first_class, np.array(entry["scores"], np.float32), xyxy, masks
    )


def found_in(case: Case, outputs: EngineOutputs, config: RcnnConfig) -> Instances:
    """Everything found, where the original has it in the picture."""
    count = int(outputs.count[0])
    (rows, columns), (height, width) = case.extent_hw, case.picture_hw
    down, across = height / rows, width / columns
    unit = np.array([config.input_hw[1] * across, config.input_hw[0] * down] * 2, np.float32)
    xyxy = outputs.boxes[0, :count] * unit
    paste: Any = config.numerics.mask_paste
    masks = Masks(outputs.masks[0, :count], BoxGrids(xyxy, paste), case.picture_hw)
    clipped = xyxy.clip(0, [width, height, width, height]).astype(np.float32)
    return Instances(clipped, outputs.scores[0, :count], outputs.classes[0, :count], masks)


def network(config: RcnnConfig, state: dict[str, torch.Tensor]) -> MaskRcnn:
    model = MaskRcnn(config)
    model.load_state_dict(our_state(state))
    return model.eval()


def measure_torch(listed: list[Case], configured: Configured, state: dict[str, torch.Tensor]) -> Parity:
    """All pictures added up, each at its own size."""
    total = Parity(0, 0, 0, 0.0, 0.0, 1.0)
    for case in listed:
        config = configured(case.frame.shape[:2])
        model = network(config, state)
        with torch.inference_mode():
            outputs = outputs_from_tensors(EngineModule(model).tail(*model(case.planes)))
        total += compare_detections(case.expected, found_in(case, outputs, config))
    return total


def of_one_size(listed: list[Case]) -> list[Case]:
    return [case for case in listed if case.frame.shape[:2] == EXPORTED_HW]


def torchvisions_own(case: Case, config: RcnnConfig, state: dict[str, torch.Tensor]) -> Case:
    """The case with what torchvision's own code finds in its whole levels."""
    model = network(config, state)
    heads = model.roi_heads
    original: Any = MaskRCNN(
        model.backbone,
        rpn_head=model.rpn["head"],
        **{part: heads[part] for part in ("box_head", "box_predictor", "mask_head", "mask_predictor")},
    ).eval()
    with torch.inference_mode():
        x = EngineModule(model).normalised(torch.from_numpy(case.frame)[None])
        features = original.backbone(x)
        proposals, _ = original.rpn(ImageList(x, [case.extent_hw]), features)
        (found,), _ = original.roi_heads(features, proposals, [case.extent_hw])
        (rows, columns), (height, width) = case.extent_hw, case.picture_hw
        xyxy = found["boxes"] * torch.tensor([width / columns, height / rows] * 2)
        masks = paste_masks_in_image(found["masks"], xyxy, case.picture_hw)[:, 0] > 0.5
    labels, scores = found["labels"].numpy() - 1, found["scores"].numpy()
    return case._replace(expected=Findings(labels, scores, xyxy.numpy(), masks.numpy()))


def measure_file(engine: BaseEngine, listed: list[Case], config: RcnnConfig) -> Parity:
    total = Parity(0, 0, 0, 0.0, 0.0, 1.0)
    for case in listed:
        total += compare_detections(case.expected, found_in(case, engine.infer(case.frame[None]), config))
    return total


def measure(shared: Path, name: str, count: int, folder: Path) -> dict[str, Any]:
    configured, state = REFERENCES[name], published_state(shared / FAMILIES / name)
    listed = list(cases(shared, name, count))
    result: dict[str, Any] = {"torch": asdict(measure_torch(listed, configured, state))}
    print(name, "torch done", file=sys.stderr)
    config, alike = configured(EXPORTED_HW), of_one_size(listed)
    if name.startswith("torchvision"):
        alike = [torchvisions_own(case, config, state) for case in alike]
    result["pictures of the exported size"] = len(alike)
    file = export(network(config, state), folder / f"{name}.onnx")
    with OnnxRuntimeEngine(file) as engine:
        result["onnxruntime"] = asdict(measure_file(engine, alike, config))
    with OpenVinoEngine(file, precision="fp32") as engine:
        result["openvino"] = asdict(measure_file(engine, alike, config))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--pictures", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = {
            name: measure(arguments.shared, name, arguments.pictures, Path(folder)) for name in REFERENCES
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
