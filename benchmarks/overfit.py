"""Learn eight images by heart: what a network, its losses and targets can do with nothing to guess.

python benchmarks/overfit.py --data FOLDER --network yolact_lite|solov2 --curve CURVE.csv

FOLDER holds instances.json and images/. Takes the first eight images whose objects are few and large. Writes
the curve (iteration, losses, mask AP on the same eight images) and prints one JSON line. The SOLOv2 is
solov2_light_r18 with coarser grids and narrower layers, which two CPU cores can train.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from streamseg.datasets.coco import CocoDataset, CocoImage, read_coco
from streamseg.engine_contract import EngineOutputs
from streamseg.engines.base import BaseEngine
from streamseg.evaluation.checkpoint import mask_ap
from streamseg.models.engine_module import EngineModule
from streamseg.models.network import Network, build_network
from streamseg.models.solo.config import SOLO_CONFIGS
from streamseg.models.solo.solo import Solo
from streamseg.models.weights.archive import read_archive
from streamseg.training.csv_log import CsvLog
from streamseg.training.mixture import Batch
from streamseg.training.objective import make_objective
from streamseg.training.parallel import joined
from streamseg.training.schedule import Settings, Standing
from streamseg.training.single_set import Order, Views, stream_batches
from streamseg.training.start import start
from streamseg.training.trainer import Observer, train

IMAGES = 8
MOST_OBJECTS = 3
LEAST_SHARE = 0.04
"""Of the image, which each object covers."""


class ModuleEngine(BaseEngine):
    """A network in memory."""

    def __init__(self, model: Network) -> None:
        self._module = EngineModule(model.eval())
        super().__init__(self._module.info(), "torch", torch.__version__, "fp32")

    def _start(self, frames: NDArray[np.uint8]) -> None:
        with torch.inference_mode():
            self._tensors = self._module(torch.from_numpy(frames))

    def _finish(self) -> EngineOutputs:
        return EngineOutputs(*(tensor.numpy() for tensor in self._tensors))

    def _release(self) -> None: ...


class Curve(Observer):
    """The log, and mask AP on the images that are learnt."""

    def __init__(self, model: Network, dataset: CocoDataset, log: CsvLog) -> None:
        self._model = model
        self._dataset = dataset
        self._log = log
        self._rate = 0.0

    def stepped(self, progress: Standing, share: float, rate: float) -> None:
        self._rate = rate

    def check(self, progress: Standing, weights: Path) -> None:
        model = copy.deepcopy(self._model).cpu()
        model.load_state_dict(read_archive(weights)["state_dict"])
        progress.best = mask_ap(ModuleEngine(model), self._dataset)
        self._log.add(progress, self._rate, progress.best)
        print(f"iteration {progress.iteration}: mask AP {progress.best:.3f} {progress.losses}", flush=True)


def eight(dataset: CocoDataset) -> tuple[CocoImage, ...]:
    """The first images whose objects are few and large."""

    def plain(image: CocoImage) -> bool:
        least = LEAST_SHARE * image.size_hw[0] * image.size_hw[1]
        large = all(a.area > least and not a.crowd for a in image.annotations)
        return 0 < len(image.annotations) <= MOST_OBJECTS and large

    return tuple(image for image in dataset.images if plain(image))[:IMAGES]


def network(name: str, classes: tuple[str, ...], input_hw: tuple[int, int]) -> Network:
    """`yolact_lite`, or a small SOLOv2."""
    if name == "yolact_lite":
        return build_network(name, classes, input_hw)
    small = replace(
        SOLO_CONFIGS["solov2_light_r18"],
        classes=classes,
        input_hw=input_hw,
        grids=(12, 10, 8, 6, 4),
        fpn_width=64,
        tower_width=64,
        kernel_width=64,
        feature_width=64,
    )
    return Solo(small)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", choices=("yolact_lite", "solov2"), required=True)
    parser.add_argument("--curve", type=Path, required=True)
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 192), metavar=("H", "W"))
    options = parser.parse_args()
    whole = read_coco(options.data / "instances.json", options.data / "images")
    dataset = replace(whole, images=eight(whole))
    names = {a.class_name for image in dataset.images for a in image.annotations}
    classes = tuple(name for name in dataset.classes if name in names)
    torch.manual_seed(1)
    model = network(options.network, classes, (options.size[0], options.size[1]))
    began = start(model, None)
    resize: Literal["stretch", "fit"] = "stretch" if options.network == "yolact_lite" else "fit"
    red, green, blue = (round(value) for value in model.config.mean_rgb)
    objective = make_objective(model, mixed=False)
    recipe = Views(
        images=dataset.images,
        classes=classes,
        input_hw=model.config.input_hw,
        resize=resize,
        fill_bgr=(blue, green, red),
        seed=1,
        soft_masks=objective.soft_masks,
        augment=False,
    )
    settings = Settings(
        iterations=options.iterations,
        pretrained=began.pretrained,
        peak_rate=1e-3,
        warmup_iterations=20,
        checks=10,
    )

    def stream(_size_hw: tuple[int, int], iteration: int) -> Iterator[Batch]:
        return stream_batches(recipe, Order(IMAGES, IMAGES, 1, first=iteration), workers=0)

    options.curve.unlink(missing_ok=True)
    began_at = time.monotonic()
    with joined() as place, tempfile.TemporaryDirectory() as folder:
        objective.mixed = place.bfloat16
        curve = Curve(model, dataset, CsvLog(options.curve, 0, IMAGES))
        progress = train(objective, stream, settings, Path(folder) / "last.pth", place, curve)
    print(
        json.dumps(
            {
                "network": options.network,
                "input_hw": list(model.config.input_hw),
                "images": [image.path.name for image in dataset.images],
                "objects": sum(len(image.annotations) for image in dataset.images),
                "iterations": progress.iteration,
                "mask_ap": round(progress.best, 4),
                "seconds": round(time.monotonic() - began_at),
            }
        )
    )


if __name__ == "__main__":
    main()
