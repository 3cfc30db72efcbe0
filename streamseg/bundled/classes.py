"""How the bundled engine learns to see things from other sides: the last layer of its classes alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from streamseg.bundled.mask_photos import MASK_CLASSES, MASK_SETS, load_set
from streamseg.errors import ConfigError
from streamseg.models.coco_classes import COCO_CLASSES
from streamseg.models.picodet.network import PicoDet
from streamseg.models.weights.checkpoint import load_checkpoint
from streamseg.models.yolact.catalog import REST
from streamseg.training.class_objective import ClassObjective
from streamseg.training.mixture import Batch, Mixture, batches
from streamseg.training.parallel import Place, run_ranks
from streamseg.training.run_state import CLASSIFY_RATE
from streamseg.training.schedule import Settings
from streamseg.training.trainer import train

__all__ = ["class_mixture", "train_classes"]

log = logging.getLogger(__name__)

LEARNT_HW = (448, 448)
"""Square, so that pictures can be turned."""
BATCH_PER_RANK = 4
SHARES = {"coco_train288": 0.65, "coco_more": 0.35}
SOUGHT = ("car", "car", "bus", "truck")
SOUGHT_SHARE = 0.3
"""Of the pictures, those that show a vehicle for certain: what cameras over streets see from above."""
PASTE_SHARE = 0.3


def class_mixture(data: Path, input_hw: tuple[int, int]) -> Mixture:
    """Load the photographs below `data` in which every object of COCO's classes is annotated.

    Raises DatasetError.
    """
    loaded = tuple((SHARES[s.folder], load_set(data, s)) for s in MASK_SETS if s.folder in SHARES)
    return Mixture(
        loaded,
        input_hw,
        len(MASK_CLASSES),
        MASK_CLASSES.index(REST),
        scene_share=0.0,
        sprite_share=0.0,
        paste_share=PASTE_SHARE,
        sought=tuple(map(COCO_CLASSES.index, SOUGHT)),
        sought_share=SOUGHT_SHARE,
    )


def train_classes(
    data: Path, weights: Path, out: Path, *, iterations: int, processes: int, seed: int = 5
) -> None:
    """Train the class layers of the checkpoint `weights`, which has its masks, and write another to `out`.

    Raises CheckpointError, ConfigError, DatasetError.
    """
    if weights.resolve() == out.resolve():
        raise ConfigError(f"{out}: would be written over the weights to begin with; name another file")
    load_checkpoint(weights)  # here, where an error is one line
    settings = Settings(
        iterations=iterations,
        peak_rate=1e-3 / CLASSIFY_RATE,
        warmup_iterations=20,
        weight_decay=0.0,
        seed=seed,
        small_until=1.0,
        small_hw=LEARNT_HW,
    )
    run_ranks(processes, partial(train_classes_rank, data, weights, out, settings))


def train_classes_rank(data: Path, weights: Path, out: Path, settings: Settings, place: Place) -> None:
    """The part of one of the processes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.manual_seed(settings.seed)
    model = load_checkpoint(weights)
    if not isinstance(model, PicoDet):
        raise ConfigError(f"{weights}: a {model.config.name}, not the network of the bundled engine")

    def stream(size_hw: tuple[int, int], iteration: int) -> Iterator[Batch]:
        make = partial(class_mixture, data, size_hw)
        return batches(make, BATCH_PER_RANK, (settings.seed, place.rank, iteration))

    progress = train(ClassObjective(model, mixed=place.bfloat16), stream, settings, out, place)
    log.info("rank %d: %d images in %.1f minutes", place.rank, progress.images, progress.elapsed_s / 60)
