"""How long to train and how fast to move. Tested in tests/training/test_trainer.py."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Settings", "Standing", "learning_rate"]


WARMUP_SHARE = 0.05
"""Of a run; the rate has risen by then, however few iterations a slow machine has done."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train."""

    minutes: float = math.inf
    """Wall time; the learning rate reaches its end when it is used up."""
    iterations: int = 10**9
    """Upper limit; whichever limit comes first drives the schedule."""
    schedule: Literal["cosine", "step"] = "cosine"
    drops: tuple[float, ...] = (0.35, 0.75, 0.875, 0.9375)
    """Shares of the run after each of which the rate of `step` is a tenth: those of YOLACT."""
    peak_rate: float = 1.5e-3
    backbone_rate: float = 0.2
    """Learning rate of a pretrained backbone, as a share of that of the rest."""
    pretrained: bool = True
    """The backbone holds trained weights: it moves slowly and keeps its statistics."""
    warmup_iterations: int = 300
    weight_decay: float = 0.05
    gradient_norm: float = 10.0
    average_decay: float = 0.998
    save_every_s: float = 180.0
    checks: int = 0
    """How often, at equal shares of the run, the observer is called to look at the network."""
    small_until: float = 0.0
    """Share of the run on pictures of `small_hw`: half the pixels, so twice as many pictures are seen."""
    small_hw: tuple[int, int] = (224, 320)
    seed: int = 1

    def input_hw(self, share: float, full_hw: tuple[int, int]) -> tuple[int, int]:
        """Size of the pictures when `share` of the run is over."""
        return self.small_hw if share < self.small_until else full_hw


@dataclass(slots=True)
class Standing:
    """How far a run is; kept with the checkpoint."""

    iteration: int = 0
    images: int = 0
    elapsed_s: float = 0.0
    waited_s: float = 0.0
    """Of `elapsed_s`, spent waiting for data; the first batch does not count, which waits for processes."""
    checked: int = 0
    """How many of `Settings.checks` are behind it."""
    best: float = -1.0
    """The highest mask AP that a check measured."""
    losses: dict[str, float] = field(default_factory=dict)
    """Running means."""

    def share(self, settings: Settings) -> float:
        """0 at the start, 1 at whichever limit comes first."""
        return max(self.iteration / settings.iterations, self.elapsed_s / (60 * settings.minutes))

    def check_due(self, settings: Settings) -> bool:
        """Whether it is time to look at the network."""
        return self.share(settings) * settings.checks >= self.checked + 1


def learning_rate(settings: Settings, iteration: int, share: float) -> float:
    """Linear warm-up, then half a cosine down to zero at share 1, or steps of a tenth."""
    warm = min(1.0, max((iteration + 1) / settings.warmup_iterations, share / WARMUP_SHARE))
    if settings.schedule == "step":
        return settings.peak_rate * warm * math.pow(0.1, sum(share >= drop for drop in settings.drops))
    return settings.peak_rate * warm * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
