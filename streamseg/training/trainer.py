"""The training loop: bounded by time or iterations, resumable, and always with a usable network on disk."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from streamseg.errors import TrainingError
from streamseg.files import remove_stale_parts
from streamseg.training.mixture import Batch
from streamseg.training.objective import Objective
from streamseg.training.parallel import Place, mean_over_ranks
from streamseg.training.run_state import TrainingRun, alone, resume_file
from streamseg.training.schedule import Settings, Standing

__all__ = ["Observer", "Stream", "train"]

log = logging.getLogger(__name__)

LOG_EVERY = 10
"""Iterations."""

Stream = Callable[[tuple[int, int], int], Iterator[Batch]]
"""From a picture size and an iteration: the batches from there on."""


class Observer:
    """Told of what happens, in the first process only. This one writes lines to the log."""

    def stepped(self, progress: Standing, share: float, rate: float) -> None:
        """An iteration is over; `share` of the run is."""
        if progress.iteration % LOG_EVERY == 0:
            log.info(
                "iteration %d  %.1f min  %.1f images/s  waiting %.1f %%  rate %.2e  %s",
                progress.iteration,
                progress.elapsed_s / 60,
                progress.images / progress.elapsed_s,
                100 * progress.waited_s / progress.elapsed_s,
                rate,
                " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items()),
            )

    def check(self, progress: Standing, weights: Path) -> None:
        """Time to look at the network: `weights` were just written. May change `progress.best`."""


def train(
    objective: Objective,
    stream: Stream,
    settings: Settings,
    out: Path,
    place: Place | None = None,
    observer: Observer | None = None,
    identity: Mapping[str, Any] | None = None,
) -> Standing:
    """Train until a limit is reached; `out` always holds the latest averaged weights, in our own format.

    A run that was interrupted continues from `out` with the suffix .resume, which must be of the same
    `identity`. Every rank has a stream of its own; the first one writes. Raises TrainingError,
    CheckpointError, ConfigError, and DatasetError from the stream.
    """
    place = place or Place(torch.device("cpu"))
    with alone(out) if place.rank == 0 else nullcontext():
        return _train(objective, stream, settings, out, place, observer or Observer(), identity or {})


def _train(
    objective: Objective,
    stream: Stream,
    settings: Settings,
    out: Path,
    place: Place,
    observer: Observer,
    identity: Mapping[str, Any],
) -> Standing:
    if place.rank == 0:
        remove_leftovers(out)
    objective.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = TrainingRun.begin(objective.model, settings, out, identity)
    losses_of = DistributedDataParallel(objective) if place.ranks > 1 else objective
    progress = run.progress
    started, saved = time.monotonic() - progress.elapsed_s, time.monotonic()
    size_hw: tuple[int, int] | None = None
    while (share := progress.share(settings)) < 1:
        if place.orphaned:
            # Or it would go on, and write over what the next run saves.
            raise TrainingError(f"{out}: the program that trains it was killed; start it again to continue")
        if size_hw != settings.input_hw(share, objective.model.config.input_hw):
            size_hw = settings.input_hw(share, objective.model.config.input_hw)
            batches = stream(size_hw, progress.iteration)
            batch = next(batches)
        else:
            asked = time.monotonic()
            batch = next(batches)
            progress.waited_s += time.monotonic() - asked
        torch.manual_seed(settings.seed + progress.iteration)
        rate = run.rate(settings, share)
        losses = _learn(losses_of, batch.to(place.device), run, settings, share)
        progress.elapsed_s = mean_over_ranks(time.monotonic() - started, place)
        progress.images += len(batch.images) * place.ranks
        if place.rank == 0:
            _note(progress, losses)
            observer.stepped(progress, progress.share(settings), rate)
        due = progress.check_due(settings)
        if due:
            if place.rank == 0:
                run.save_weights(out)
                observer.check(progress, out)
            progress.checked = int(progress.share(settings) * settings.checks)
        if place.rank == 0 and (due or time.monotonic() - saved > settings.save_every_s):
            run.save(out)
            saved = time.monotonic()
    if place.rank == 0:
        run.save_weights(out)
        resume_file(out).unlink(missing_ok=True)
    return progress


def _learn(
    losses_of: torch.nn.Module, batch: Batch, run: TrainingRun, settings: Settings, share: float
) -> dict[str, Tensor]:
    """One step on one batch. Raises TrainingError, before the weights change, when it is not finite."""
    run.model.zero_grad(set_to_none=True)
    losses: dict[str, Tensor] = losses_of(batch)
    total = torch.stack(tuple(losses.values())).sum()
    try:
        if not torch.isfinite(total):
            values = ", ".join(f"{name} {loss.item():.3g}" for name, loss in losses.items())
            raise FloatingPointError(f"its losses are {values}")
        total.backward()  # type: ignore[no-untyped-call]
        run.step(settings, share)
    except FloatingPointError as error:
        raise TrainingError(
            f"training diverged at iteration {run.progress.iteration} on the batch of "
            f"{', '.join(batch.names)}: {error}; the checkpoint saved last is from before it"
        ) from error
    return {name: loss.detach() for name, loss in losses.items()}


def _note(progress: Standing, losses: Mapping[str, Tensor]) -> None:
    """Update the running means."""
    for name, loss in losses.items():
        value = float(loss)
        progress.losses[name] = 0.95 * progress.losses.get(name, value) + 0.05 * value


def remove_leftovers(out: Path) -> None:
    """Delete what a run that was killed while saving left half written."""
    remove_stale_parts(out.parent, re.compile(re.escape(out.name) + ".*"), older_than_s=0)
