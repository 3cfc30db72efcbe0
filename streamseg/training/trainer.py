"""The training loop: bounded by time, resumable, and always with a usable network on disk."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import AdamW

from streamseg.models.archive import read_archive, write_archive
from streamseg.models.catalog import resized
from streamseg.models.checkpoint import save_checkpoint
from streamseg.models.config import YolactConfig
from streamseg.models.efficientnet import EfficientNetLite
from streamseg.models.priors import make_priors
from streamseg.models.yolact import Yolact
from streamseg.training.losses import Losses, compute_losses
from streamseg.training.mixture import Batch
from streamseg.training.parallel import share_gradients
from streamseg.training.pretrained import fix_early_blocks

__all__ = ["Progress", "Settings", "learning_rate", "normalise", "train"]

log = logging.getLogger(__name__)

LOG_EVERY = 10
"""Iterations."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train."""

    minutes: float
    """Wall time; the learning rate reaches zero when it is used up."""
    processes: int = 2
    iterations: int = 10**9
    """Upper limit; whichever limit comes first drives the schedule."""
    peak_rate: float = 1.5e-3
    backbone_rate: float = 0.2
    """Learning rate of a pretrained backbone, as a share of that of the rest."""
    warmup_iterations: int = 300
    weight_decay: float = 0.05
    gradient_norm: float = 10.0
    average_decay: float = 0.998
    save_every_s: float = 180.0
    bfloat16: bool = True
    small_until: float = 0.35
    """Share of the run on pictures of `small_hw`: half the pixels, so twice as many pictures are seen."""
    small_hw: tuple[int, int] = (224, 320)

    def input_hw(self, share: float, full_hw: tuple[int, int]) -> tuple[int, int]:
        """Size of the pictures when `share` of the run is over."""
        return self.small_hw if share < self.small_until else full_hw


@dataclass(slots=True)
class Progress:
    """How far a run is; kept with the checkpoint."""

    iteration: int = 0
    images: int = 0
    elapsed_s: float = 0.0
    waited_s: float = 0.0
    """Of `elapsed_s`, spent waiting for data."""
    losses: dict[str, float] = field(default_factory=dict)
    """Running means."""

    def share(self, settings: Settings) -> float:
        """0 at the start, 1 at whichever limit comes first."""
        return max(self.iteration / settings.iterations, self.elapsed_s / (60 * settings.minutes))


def learning_rate(settings: Settings, iteration: int, share: float) -> float:
    """Linear warm-up, then half a cosine down to zero at share 1."""
    warm = min(1.0, (iteration + 1) / settings.warmup_iterations)
    return settings.peak_rate * warm * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def normalise(images: Tensor, config: YolactConfig) -> Tensor:
    """(B, h, w, 3) uint8 BGR → (B, 3, h, w) float32 RGB as the network expects."""
    mean, std = torch.tensor(config.mean_rgb), torch.tensor(config.std_rgb)
    return ((images.flip(3).float() - mean) / std).permute(0, 3, 1, 2)


def train(
    model: Yolact,
    batches: Callable[[tuple[int, int], int], Iterator[Batch]],
    settings: Settings,
    out: Path,
    rank: int = 0,
) -> Progress:
    """Train until a limit is reached; `out` always holds the latest averaged weights, in our own format.

    A run that was interrupted continues from `out` with the suffix .resume. `batches` makes the stream
    of a picture size that begins at an iteration. Every rank has streams of its own; the first one writes.
    """
    run = _Run.begin(model, settings, out)
    started, saved = time.monotonic() - run.progress.elapsed_s, time.monotonic()
    size_hw: tuple[int, int] | None = None
    while (share := run.progress.share(settings)) < 1:
        if size_hw != settings.input_hw(share, model.config.input_hw):
            size_hw = settings.input_hw(share, model.config.input_hw)
            priors = make_priors(resized(model.config, size_hw))
            stream = batches(size_hw, run.progress.iteration)
        asked = time.monotonic()
        batch = next(stream)
        run.progress.waited_s += time.monotonic() - asked
        losses = backward(model, priors, batch, settings)
        run.progress.elapsed_s = share_gradients(model, time.monotonic() - started)
        run.step(settings, share)
        run.progress.images += len(batch.images) * settings.processes
        if rank == 0:
            run.note(losses)
            if time.monotonic() - saved > settings.save_every_s:
                run.save(out)
                saved = time.monotonic()
    if rank == 0:
        save_checkpoint(model, run.average, out)
        _resume_file(out).unlink(missing_ok=True)
    return run.progress


@dataclass(slots=True, eq=False)
class _Run:
    """All that changes while training."""

    model: Yolact
    average: dict[str, Tensor]
    optimizer: AdamW
    progress: Progress

    @classmethod
    def begin(cls, model: Yolact, settings: Settings, out: Path) -> _Run:
        """A new run, or the one that was interrupted. Raises CheckpointError."""
        model.train().to(memory_format=memory_format(model))
        if isinstance(model.backbone, EfficientNetLite):
            fix_early_blocks(model.backbone)
        run = cls(model, deepcopy(model.state_dict()), make_optimizer(model, settings), Progress())
        if _resume_file(out).exists():
            run.restore(_resume_file(out))
        return run

    def step(self, settings: Settings, share: float) -> None:
        """Apply the gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * learning_rate(settings, self.progress.iteration, share)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_norm)
        self.optimizer.step()
        update_average(self.average, self.model, settings.average_decay, self.progress.iteration)
        self.progress.iteration += 1

    def note(self, losses: Losses) -> None:
        """Update the running means; a line for the log now and then."""
        progress = self.progress
        for name, loss in losses._asdict().items():
            value = float(loss)
            progress.losses[name] = 0.95 * progress.losses.get(name, value) + 0.05 * value
        if progress.iteration % LOG_EVERY == 0:
            parts = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
            log.info(
                "iteration %d  %.1f min  %.1f images/s  waiting %.1f %%  rate %.2e  %s",
                progress.iteration,
                progress.elapsed_s / 60,
                progress.images / progress.elapsed_s,
                100 * progress.waited_s / progress.elapsed_s,
                self.optimizer.param_groups[0]["lr"],
                parts,
            )

    def save(self, out: Path) -> None:
        """The averaged weights to `out`, and all of the run beside it."""
        save_checkpoint(self.model, self.average, out)
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        write_archive(state, _resume_file(out))

    def restore(self, path: Path) -> None:
        """Continue from what `save` wrote. Raises CheckpointError."""
        content = read_archive(path)
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.average.update(content["average"])
        self.progress = Progress(**content["progress"])
        log.info("resumed at iteration %d, %.1f min", self.progress.iteration, self.progress.elapsed_s / 60)


def _resume_file(out: Path) -> Path:
    return out.with_name(out.name + ".resume")


def memory_format(model: Yolact) -> torch.memory_format:
    """The faster one: the gradient of depthwise convolutions takes twice as long with channels last."""
    depthwise = isinstance(model.backbone, EfficientNetLite)
    return torch.contiguous_format if depthwise else torch.channels_last


def make_optimizer(model: Yolact, settings: Settings) -> AdamW:
    """AdamW; only the kernels of convolutions decay, and a pretrained backbone moves slowly."""
    backbone_rate = settings.backbone_rate if isinstance(model.backbone, EfficientNetLite) else 1.0
    groups = []
    for in_backbone, rate in ((True, backbone_rate), (False, 1.0)):
        of_part = [p for name, p in model.named_parameters() if name.startswith("backbone.") == in_backbone]
        for kernels, decay in ((True, settings.weight_decay), (False, 0.0)):
            parameters = [p for p in of_part if (p.ndim == 4) == kernels and p.requires_grad]
            groups.append({"params": parameters, "weight_decay": decay, "share": rate})
    return AdamW(groups, lr=settings.peak_rate)


def backward(model: Yolact, priors: Tensor, batch: Batch, settings: Settings) -> Losses:
    """Leave one batch's gradients in the model. Raises FloatingPointError when the loss is not finite."""
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
        images = normalise(batch.images, model.config).contiguous(memory_format=memory_format(model))
        heads, segmentation = model.forward_with_segmentation(images)
    losses = compute_losses(heads, segmentation, priors, batch)
    total = losses.total()
    if not torch.isfinite(total):
        raise FloatingPointError(f"training diverged: {losses}")
    model.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    return Losses(*(loss.detach() for loss in losses))


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: Yolact, decay: float, iteration: int) -> None:
    """Move the averaged weights towards the model's, faster at the start."""
    decay = min(decay, (1 + iteration) / (10 + iteration))
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)
