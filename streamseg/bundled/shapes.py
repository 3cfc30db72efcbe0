"""How the bundled engine `shapes` is trained: its data, its mixture, its schedule."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from streamseg.bundled.photo_sets import CLIPS, PHOTO_SETS, read_clips, read_split
from streamseg.errors import ConfigError
from streamseg.models.backbones.efficientnet import EfficientNetLite
from streamseg.models.weights.checkpoint import load_weights_but_classes
from streamseg.models.yolact.catalog import REST, build_model
from streamseg.training.losses import SOFT
from streamseg.training.mixture import Batch, Mixture, batches
from streamseg.training.objective import YolactObjective
from streamseg.training.parallel import Place, run_ranks
from streamseg.training.photos import load_photos
from streamseg.training.pretrained import load_pretrained
from streamseg.training.schedule import Settings
from streamseg.training.trainer import train

__all__ = ["make_mixture", "train_shapes"]

log = logging.getLogger(__name__)

BATCH_PER_RANK = 6
SMALL_UNTIL = 0.35
"""Share of a run from the start on small pictures; see `Settings`."""
PASTED_OFTEN = ("person", "dog", REST)
"""Classes that are bad for lack of large or of any examples; of the rest there are many. Not cars: with 45
cut-outs, a third of one car, pasting them more made a motorcycle's mirrors cars, and real ones were lost."""
SOUGHT = ("car", "car", "dog", "bus", "truck", "motorcycle")
SOUGHT_SHARE = 0.35
"""Few photographs have one of these, and most of those are small: of them views are made on purpose. People
are in every second photograph anyway."""


def make_mixture(data: Path, classes: tuple[str, ...], input_hw: tuple[int, int]) -> Mixture:
    """Load the photographs below `data` that are not held out, and frames of clips. Raises DatasetError."""
    clips = load_photos(read_clips(data), CLIPS, classes)
    loaded = [(CLIPS.share, clips)]
    for photos in PHOTO_SETS:
        images, _ = read_split(data, photos)
        loaded.append(((1 - CLIPS.share) * photos.share, load_photos(images, photos, classes)))
    return Mixture(
        tuple(loaded),
        input_hw,
        len(classes),
        classes.index("shape"),
        pasted_often=tuple(map(classes.index, PASTED_OFTEN)),
        sought=tuple(map(classes.index, SOUGHT)),
        sought_share=SOUGHT_SHARE,
        not_cut=clips,  # one thing each, again and again
    )


def train_shapes(
    data: Path, out: Path, minutes: float, processes: int, seed: int = 1, weights: Path | None = None
) -> None:
    """Train a `yolact_lite`, its backbone pretrained on ImageNet, and write its checkpoint to `out`.

    `weights` of an earlier run are trained on, with pictures of full size only.
    `processes` compute side by side, each with one thread. Raises CheckpointError, ConfigError, DatasetError,
    MissingDependency.
    """
    if weights is not None and weights.resolve() == out.resolve():
        raise ConfigError(f"{out}: would be written over the weights to begin with; name another file")
    for photos in PHOTO_SETS:
        images, out_of_it = read_split(data, photos)
        log.info("%s: %d photographs, %d held out", photos.folder, len(images), len(out_of_it))
    log.info("%s: %d frames", CLIPS.folder, len(read_clips(data)))
    settings = Settings(minutes=minutes, small_until=0.0 if weights else SMALL_UNTIL, seed=seed)
    run_ranks(processes, partial(train_rank, data, out, settings, weights))


def train_rank(data: Path, out: Path, settings: Settings, weights: Path | None, place: Place) -> None:
    """The part of one of the processes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.manual_seed(settings.seed)
    model = build_model("yolact_lite")
    assert isinstance(model.backbone, EfficientNetLite)
    if weights is None:
        load_pretrained(model.backbone)
    else:
        load_weights_but_classes(model, weights)

    def stream(size_hw: tuple[int, int], iteration: int) -> Iterator[Batch]:
        make = partial(make_mixture, data, model.config.classes, size_hw)
        return batches(make, BATCH_PER_RANK, (settings.seed, place.rank, iteration))

    progress = train(YolactObjective(model, SOFT, mixed=True), stream, settings, out, place)
    log.info("rank %d: %d images in %.1f minutes", place.rank, progress.images, progress.elapsed_s / 60)
