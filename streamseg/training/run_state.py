"""All that changes while training, and how it gets to the disk and back.

Tested in tests/training/test_trainer.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.optim import AdamW

from streamseg.errors import CheckpointError, ConfigError, TrainingError
from streamseg.models.backbones.efficientnet import EfficientNetLite
from streamseg.models.network import Network
from streamseg.models.weights.archive import read_archive, write_archive
from streamseg.models.weights.checkpoint import save_checkpoint
from streamseg.training.pretrained import fix_early_blocks
from streamseg.training.schedule import Settings, Standing, learning_rate

__all__ = ["TrainingRun", "alone", "resume_file"]

log = logging.getLogger(__name__)

CLASSIFY_RATE = 8.0
"""Of PicoDet's class layers, as a multiple of the rate: five classes of a hundred pictures, 150 iterations at
192×192, mask AP 89.1 instead of 81.5."""
Identity = Mapping[str, Any]
"""What must be the same when a run is resumed: plain values by the name of their option."""


def resume_file(out: Path) -> Path:
    """Where a run whose weights go to `out` keeps everything else while it lasts."""
    return out.with_name(out.name + ".resume")


@dataclass(slots=True, eq=False)
class TrainingRun:
    """The network, its running average, the optimizer, and how far they are."""

    model: Network
    average: dict[str, Tensor]
    optimizer: AdamW
    progress: Standing
    identity: Identity

    @classmethod
    def begin(cls, model: Network, settings: Settings, out: Path, identity: Identity) -> TrainingRun:
        """A new run, or the one whose resume file lies beside `out`. Raises CheckpointError, ConfigError."""
        model.train()
        if settings.pretrained:
            fix_statistics(model)
        run = cls(
            model, deepcopy(model.state_dict()), make_optimizer(model, settings), Standing(), dict(identity)
        )
        if resume_file(out).exists():
            run.restore(resume_file(out))
        return run

    def rate(self, settings: Settings, share: float) -> float:
        """The learning rate of this iteration."""
        return learning_rate(settings, self.progress.iteration, share)

    def step(self, settings: Settings, share: float) -> None:
        """Apply the gradients. Raises FloatingPointError, with the weights as they were, when these are not
        finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * self.rate(settings, share)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"its gradient has the norm {float(norm)}")
        self.optimizer.step()
        update_average(self.average, self.model, settings.average_decay, self.progress.iteration)
        self.progress.iteration += 1

    def save(self, out: Path) -> None:
        """The averaged weights to `out`, and all of the run beside it. Raises TrainingError; whatever
        was saved before is still there then."""
        self.save_weights(out)
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
            "identity": dict(self.identity),
        }
        with saving(resume_file(out)):
            write_archive(state, resume_file(out))

    def save_weights(self, out: Path) -> None:
        """The averaged weights, in our own format. Raises TrainingError."""
        with saving(out):
            save_checkpoint(self.model, self.average, out)

    def restore(self, path: Path) -> None:
        """Continue from what `save` wrote. Raises CheckpointError, ConfigError."""
        content = read_archive(path)
        for option, value in self.identity.items():
            was = content.get("identity", {}).get(option)
            if was != value:
                raise ConfigError(f"{path}: that run has {option} {was}, not {value}; ask for the same")
        try:
            self.model.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
            for key, value in self.average.items():
                value.copy_(content["average"][key])
            self.progress = Standing(**content["progress"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            first = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: does not continue this run ({first}); start another") from error
        log.info("resumed at iteration %d, %.1f min", self.progress.iteration, self.progress.elapsed_s / 60)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other runs from writing to `out` for the block. Raises TrainingError when one does already."""
    path = out.with_name(out.name + ".lock")
    lock = FileLock(path)
    with saving(path):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise TrainingError(f"{out}: another run is training it; wait for its end, or stop it") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn a failed write into a TrainingError that says what is left."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch reports a write that failed by an error of its own, raised while the system's is handled.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise TrainingError(
            f"{path}: cannot be saved ({cause.strerror}); what was saved before is whole, "
            "make room and continue with --resume"
        ) from error


def fix_statistics(model: Network) -> None:
    """Keep what a pretrained backbone knows of the statistics of pictures, and EfficientNet's first blocks.

    A batch of a few pictures has worse statistics than the millions it was trained on; both originals do so.
    """
    if isinstance(model.backbone, EfficientNetLite):
        fix_early_blocks(model.backbone)
        return
    for module in model.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def make_optimizer(model: Network, settings: Settings) -> AdamW:
    """AdamW; only the kernels of convolutions decay, a pretrained backbone moves slowly, and classes that are
    new to a network that knows all else fast."""
    backbone_rate = settings.backbone_rate if settings.pretrained else 1.0
    groups = []
    for part, rate in (("backbone", backbone_rate), ("classify", CLASSIFY_RATE), ("", 1.0)):
        of_part = [p for name, p in model.named_parameters() if part_of(name) == part]
        for kernels, decay in ((True, settings.weight_decay), (False, 0.0)):
            parameters = [p for p in of_part if (p.ndim == 4) == kernels and p.requires_grad]
            groups.append({"params": parameters, "weight_decay": decay, "share": rate})
    return AdamW(groups, lr=settings.peak_rate)


def part_of(name: str) -> str:
    """Of a parameter: `backbone`; `classify`, PicoDet's last layers of the classes; or the rest, ``""``."""
    if name.startswith("backbone."):
        return "backbone"
    return "classify" if name.startswith("heads.") and ".classify." in name else ""


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: Network, decay: float, iteration: int) -> None:
    """Move the averaged weights towards the model's, faster at the start."""
    decay = min(decay, (1 + iteration) / (10 + iteration))
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)
