"""What `streamseg train` does: a data set of one's own to a checkpoint, measured on pictures it never saw.

Tested in tests/cli/test_train.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from streamseg.datasets.for_training import TrainingData, read_training_data
from streamseg.datasets.write import write_coco
from streamseg.engines.load import load_engine
from streamseg.engines.locate import list_engines
from streamseg.errors import ConfigError, TrainingError
from streamseg.evaluation.checkpoint import copy_whole, mask_ap, write_samples
from streamseg.jobs.evaluate import evaluate_on_data
from streamseg.models.families import family_of
from streamseg.models.network import Network, build_network
from streamseg.progress import Watcher
from streamseg.sinks.collisions import PlannedOutput, planned_files, refuse_collisions
from streamseg.training.csv_log import CsvLog
from streamseg.training.mixture import Batch
from streamseg.training.objective import make_objective
from streamseg.training.parallel import Place, joined
from streamseg.training.run_state import resume_file
from streamseg.training.schedule import Settings, Standing
from streamseg.training.single_set import Order, Views, stream_batches
from streamseg.training.start import Start, seed_torch, start
from streamseg.training.trainer import Observer, train

__all__ = ["TrainOptions", "train_on_data"]

BEST, LAST, LOG, VALIDATION, SAMPLES = "model.pth", "last.pth", "log.csv", "val.json", "samples"
MOST_CHECKS = 10
MINUTES_PER_CHECK = 3.0
LOG_EVERY = 10
"""Iterations."""
SMALL_NETWORK_RATE, RATE = 1e-3, 2e-4
"""Peak learning rates: of `picodet_s` and `yolact_lite`, and of the networks on ResNets and Darknet."""
BUNDLED = {"picodet_s": "compact"}
"""Networks that start, without --weights, from those in a bundled engine."""
MOST_WARMUP = 300


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What is asked for."""

    data: Path
    out: Path
    """Folder for all that the run writes."""
    model: str = "picodet_s"
    val: Path | None = None
    weights: Path | None = None
    epochs: int | None = None
    minutes: float | None = None
    batch: int = 8
    """Pictures of an iteration, those of all processes together."""
    input_hw: tuple[int, int] | None = None
    resume: bool = False
    seed: int = 1
    schedule: Literal["cosine", "step"] = "cosine"
    device: str = "auto"

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.minutes is None):
            raise ConfigError("train: say how long, with either --epochs N or --minutes M")
        if (self.epochs is not None and self.epochs < 1) or (self.minutes is not None and self.minutes <= 0):
            raise ConfigError("train: --epochs and --minutes must be more than 0")
        if self.batch < 1:
            raise ConfigError("train: --batch must be 1 or more")

    def identity(self, network: Network, images: int) -> dict[str, Any]:
        """What must not change when the run is resumed. `images`: how many are trained on."""
        return {
            "images": images,
            "--weights": str(self.weights),
            "--model": self.model,
            "classes": list(network.config.classes),
            "--size": list(network.config.input_hw),
            "--batch": self.batch,
            "--epochs": self.epochs,
            "--minutes": self.minutes,
            "--seed": self.seed,
            "--schedule": self.schedule,
        }


def train_on_data(options: TrainOptions, watcher: Watcher) -> dict[str, Any] | None:
    """Train, and measure the best checkpoint on the validation images: the figures of `evaluate_on_data`.

    Writes, into `options.out`: `model.pth`, the weights with the highest mask AP so far, `last.pth`, both
    whole at any moment; `log.csv`; `val.json`, the validation images; `samples/`, pictures of what it finds.
    In a process that is not the first (torchrun) returns None.

    Raises ConfigError, DatasetError, CheckpointError, TrainingError, EngineError.
    """
    _check_folder(options)
    with joined(options.device) as place:
        if options.batch % place.ranks:
            raise ConfigError(f"train: --batch {options.batch} cannot be shared by {place.ranks} processes")
        first = place.rank == 0
        data = read_training_data(options.data, options.val, watcher if first else None)
        _check_outputs(options, data)
        seed_torch(options.seed, place.device)
        network = build_network(options.model, data.classes, options.input_hw)
        _train(options, network, data, place, watcher)
    if not first:
        return None
    return evaluate_on_data(options.out / BEST, options.out / VALIDATION)


def _check_folder(options: TrainOptions) -> None:
    there = resume_file(options.out / LAST).exists()
    if options.resume and not there:
        raise ConfigError(f"{options.out}: no run to resume there; leave out --resume")
    if not options.resume and (there or (options.out / BEST).exists()):
        cure = "continue it with --resume, or " if there else ""
        raise ConfigError(f"{options.out}: holds a run already; {cure}name another folder with --out")


def _check_outputs(options: TrainOptions, data: TrainingData) -> None:
    """Raise ConfigError where the run would write over what it reads."""
    written = {name: options.out / name for name in (BEST, LAST, LOG, VALIDATION)}
    samples = PlannedOutput(str(options.out / SAMPLES), f"--out's {SAMPLES}", is_folder=True)
    read = [str(path) for path in (options.data, options.val) if path and not path.is_dir()]
    if options.weights and options.weights.is_file():
        read.append(str(options.weights))
    images = [str(image.path) for image in (*data.train.images, *data.val.images)]
    planned = planned_files({f"--out's {name}": path for name, path in written.items()})
    refuse_collisions([*read, *images], [*planned, samples])


def _train(
    options: TrainOptions, network: Network, data: TrainingData, place: Place, watcher: Watcher
) -> None:
    objective = make_objective(network, mixed=place.bfloat16)
    began = start(network, options.weights or _bundled_weights(options.model))
    settings = _settings(options, network, data, began)
    recipe = replace(_recipe(options, network, data), soft_masks=objective.soft_masks)
    local = options.batch // place.ranks

    def stream(_size_hw: tuple[int, int], iteration: int) -> Iterator[Batch]:
        order = Order(len(recipe.images), local, options.seed, place.rank, place.ranks, iteration)
        return stream_batches(recipe, order, place.workers)

    observer = Observer()
    if place.rank == 0:
        _prepare_folder(options, data)
        watcher.say(_summary(options, network, data, place))
        watcher.say("continues" if options.resume else f"{options.model} {began.told}")
        observer = _Watch(options, data, watcher, settings)
    identity = options.identity(network, len(recipe.images))
    train(objective, stream, settings, options.out / LAST, place, observer, identity)


def _bundled_weights(model: str) -> Path | None:
    return list_engines()[BUNDLED[model]] if model in BUNDLED else None


def _prepare_folder(options: TrainOptions, data: TrainingData) -> None:
    try:
        (options.out / SAMPLES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{options.out}: cannot be made ({error.strerror})") from error
    write_coco(data.val, options.out / VALIDATION)


def _settings(options: TrainOptions, network: Network, data: TrainingData, began: Start) -> Settings:
    small = network.config.name in ("picodet_s", "yolact_lite")
    limits = Settings(
        seed=options.seed,
        schedule=options.schedule,
        pretrained=began.pretrained,
        peak_rate=SMALL_NETWORK_RATE if small else RATE,
    )
    if options.epochs is not None:
        iterations = math.ceil(options.epochs * len(data.train.images) / options.batch)
        return replace(
            limits,
            iterations=iterations,
            warmup_iterations=min(MOST_WARMUP, max(1, iterations // 10)),
            checks=min(MOST_CHECKS, options.epochs),
        )
    assert options.minutes is not None
    checks = min(MOST_CHECKS, max(1, int(options.minutes / MINUTES_PER_CHECK)))
    return replace(limits, minutes=options.minutes, warmup_iterations=MOST_WARMUP // 3, checks=checks)


def _recipe(options: TrainOptions, network: Network, data: TrainingData) -> Views:
    red, green, blue = (round(value) for value in network.config.mean_rgb)
    resize = family_of(network).resize
    assert resize in ("stretch", "fit")
    return Views(
        images=data.train.images,
        classes=data.classes,
        input_hw=network.config.input_hw,
        resize="stretch" if resize == "stretch" else "fit",
        fill_bgr=(blue, green, red),
        seed=options.seed,
    )


def _summary(options: TrainOptions, network: Network, data: TrainingData, place: Place) -> str:
    height, width = network.config.input_hw
    return (
        f"{len(data.train.images)} images to train on, {len(data.val.images)} to measure with; "
        f"{len(data.classes)} classes; {options.model} at {height}x{width}, batches of {options.batch}, "
        f"{place.ranks} x {place.device.type}, {'bf16' if place.bfloat16 else 'fp32'}"
    )


class _Watch(Observer):
    """Log, progress, validation."""

    def __init__(
        self, options: TrainOptions, data: TrainingData, watcher: Watcher, settings: Settings
    ) -> None:
        self._out = options.out
        self._data = data
        self._watcher = watcher
        self._settings = settings
        self._log: CsvLog | None = None
        self._rate = 0.0

    def stepped(self, progress: Standing, share: float, rate: float) -> None:
        self._rate = rate
        if progress.iteration % LOG_EVERY == 0 or self._log is None:
            self._table(progress).add(progress, rate)
        losses = " ".join(f"{name} {value:.2f}" for name, value in progress.losses.items())
        per_second = progress.images / max(progress.elapsed_s, 1e-9)
        waiting = 100 * progress.waited_s / max(progress.elapsed_s, 1e-9)
        told = f"{losses}, {per_second:.1f} images/s, {waiting:.0f} % waiting"
        self._watcher.progress(told, min(share, 1.0), 1.0)

    def check(self, progress: Standing, weights: Path) -> None:
        val = self._data.val
        with load_engine(weights) as engine:
            found = mask_ap(engine, val)
            name = f"{progress.iteration:06d}.jpg"
            write_samples(engine, val, self._out / SAMPLES / name)
        self._table(progress).add(progress, self._rate, found)
        better = found > progress.best
        if better:
            copy_whole(weights, self._out / BEST)
            progress.best = found
        epoch = progress.images / len(self._data.train.images)
        told = "the best so far" if better else f"the best was {100 * progress.best:.1f}"
        self._watcher.say(
            f"epoch {epoch:.1f}, {progress.elapsed_s / 60:.1f} min: mask AP {100 * found:.1f}, {told}"
        )

    def _table(self, progress: Standing) -> CsvLog:
        if self._log is None:
            before = progress.iteration - 1
            self._log = CsvLog(self._out / LOG, before, len(self._data.train.images))
        return self._log
