"""How the bundled engine's masks are trained: its detector comes with COCO's knowledge and stays as it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from streamseg.bundled.mask_photos import mask_mixture
from streamseg.models.network import build_network
from streamseg.models.picodet.network import PicoDet
from streamseg.models.picodet.paddle import load_published
from streamseg.models.weights.checkpoint import load_weights
from streamseg.training.mixture import Batch, batches
from streamseg.training.objective import MaskObjective
from streamseg.training.parallel import Place, run_ranks
from streamseg.training.schedule import Settings
from streamseg.training.trainer import train

__all__ = ["train_masks"]

log = logging.getLogger(__name__)

MODEL = "picodet_s"
BATCH_PER_RANK = 4


def train_masks(
    data: Path,
    package: Path,
    out: Path,
    *,
    minutes: float,
    input_hw: tuple[int, int],
    processes: int,
    peak_rate: float = 1.5e-3,
    seed: int = 1,
    weights: Path | None = None,
) -> None:
    """Train the mask branch on the detector in the wheel `package` and write the checkpoint to `out`.

    `weights` of an earlier run are trained on. `processes` compute side by side, each with one thread. Raises
    CheckpointError, ConfigError, DatasetError.
    """
    settings = Settings(minutes=minutes, peak_rate=peak_rate, seed=seed)
    run_ranks(processes, partial(train_masks_rank, data, package, out, input_hw, settings, weights))


def train_masks_rank(
    data: Path,
    package: Path,
    out: Path,
    input_hw: tuple[int, int],
    settings: Settings,
    weights: Path | None,
    place: Place,
) -> None:
    """The part of one of the processes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.manual_seed(settings.seed)
    model = build_network(MODEL, input_hw=input_hw)
    assert isinstance(model, PicoDet)
    if weights is None:
        load_published(model, package)
    else:
        load_weights(model, weights)

    def stream(size_hw: tuple[int, int], iteration: int) -> Iterator[Batch]:
        return batches(
            partial(mask_mixture, data, size_hw), BATCH_PER_RANK, (settings.seed, place.rank, iteration)
        )

    progress = train(MaskObjective(model, mixed=place.bfloat16), stream, settings, out, place)
    log.info("rank %d: %d images in %.1f minutes", place.rank, progress.images, progress.elapsed_s / 60)
