"""What a network is before it has seen the first picture."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from streamseg.errors import MissingDependency
from streamseg.models.backbones.efficientnet import EfficientNetLite
from streamseg.models.network import Network
from streamseg.models.picodet.network import PicoDet
from streamseg.models.solo.solo import Solo
from streamseg.models.weights.checkpoint import load_weights_but_classes
from streamseg.training.pretrained import load_pretrained

__all__ = ["Start", "initialise", "seed_torch", "start"]

FIRST_SCORE = 0.01
"""Of every class in every cell of a network that knows nothing: the many empty cells cost little then."""


def seed_torch(seed: int, device: torch.device) -> None:
    """Make two runs on one device draw the same random numbers and, where torch can, add in the same order.

    On the CPU they give equal weights. On a GPU torch warns of operations that have no such form.
    """
    torch.manual_seed(seed)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs for it
        torch.use_deterministic_algorithms(True, warn_only=True)


@dataclass(frozen=True, slots=True)
class Start:
    """How it began."""

    pretrained: bool
    """The backbone holds trained weights."""
    told: str
    """One line for the user."""


def start(model: Network, weights: Path | None) -> Start:
    """Random weights, as published; then those of `weights`, or of ImageNet where a package has them.

    Raises CheckpointError.
    """
    initialise(model)
    if weights is not None:
        left = load_weights_but_classes(model, weights)
        told = f"starts from {weights}"
        if left:
            told += f"; new, where it does not know a class: {', '.join(left)}"
        return Start(True, told)
    if not isinstance(model.backbone, EfficientNetLite):
        name = model.config.name
        return Start(
            False, f"starts from random weights, which takes many pictures; --weights takes those of {name}"
        )
    try:
        load_pretrained(model.backbone)
    except MissingDependency as error:
        return Start(False, f"starts from random weights: {error}")
    return Start(True, "starts from EfficientNet-Lite0's weights for ImageNet")


def initialise(model: Network) -> None:
    """Random weights outside the backbone as the originals draw them, from torch's generator."""
    convolutions = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
        and not name.startswith("backbone.")
        and not name.endswith("conv_offset_mask")
    }
    for name, conv in convolutions.items():
        if name.startswith("head."):
            nn.init.normal_(conv.weight, std=0.01)
        else:
            nn.init.xavier_uniform_(conv.weight)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
    for layer in class_layers(model):
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.constant_(cast(Tensor, layer.bias), -math.log((1 - FIRST_SCORE) / FIRST_SCORE))


def class_layers(model: Network) -> list[nn.Conv2d]:
    """Layers whose sigmoid says of every cell which classes are there."""
    if isinstance(model, PicoDet):
        return [cast(nn.Conv2d, head.classify) for head in model.heads]
    return [cast(nn.Conv2d, model.head.conv_cls)] if isinstance(model, Solo) else []
