"""A network together with what it is trained to minimise: from a batch to its losses.

Tested in tests/training/test_trainer.py.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from streamseg.errors import ConfigError
from streamseg.models.network import Network
from streamseg.models.picodet.config import PicoDetConfig
from streamseg.models.picodet.network import PicoDet, level_points
from streamseg.models.rcnn.config import RcnnConfig
from streamseg.models.rcnn.network import MaskRcnn
from streamseg.models.rtmdet.config import RtmDetConfig
from streamseg.models.rtmdet.network import RtmDet
from streamseg.models.solo.config import SoloConfig
from streamseg.models.solo.solo import Solo
from streamseg.models.solo.solov2 import DynamicHeads
from streamseg.models.yolact.catalog import resized
from streamseg.models.yolact.config import YolactConfig
from streamseg.models.yolact.priors import make_priors
from streamseg.models.yolact.yolact import Yolact
from streamseg.training.detector_losses import compute_detector_losses
from streamseg.training.frozen_detector import FrozenDetector
from streamseg.training.losses import PUBLISHED, SOFT, LossSettings, compute_losses
from streamseg.training.mixture import Batch
from streamseg.training.shape_losses import compute_shape_losses
from streamseg.training.solo_losses import compute_solo_losses

__all__ = [
    "MaskObjective",
    "Objective",
    "PicoDetObjective",
    "SoloObjective",
    "YolactObjective",
    "make_objective",
    "normalise",
]


def normalise(
    images: Tensor, config: YolactConfig | SoloConfig | PicoDetConfig | RtmDetConfig | RcnnConfig
) -> Tensor:
    """(B, h, w, 3) uint8 BGR → (B, 3, h, w) float32 RGB as the network expects."""
    mean, std = (torch.tensor(v, device=images.device) for v in (config.mean_rgb, config.std_rgb))
    return ((images.flip(3).float() - mean) / std).permute(0, 3, 1, 2)


class Objective(nn.Module):
    """What the families share. Calling it gives a batch's weighted losses by name, float32 scalars."""

    model: Network

    def __init__(self, model: Network, *, mixed: bool) -> None:
        """`mixed`: the network's arithmetic in bfloat16, the losses' in float32."""
        super().__init__()
        self.model = model
        self.mixed = mixed

    @property
    def soft_masks(self) -> bool:
        """Whether masks are compared as shares of cells; see `losses`."""
        return False

    def images(self, batch: Batch) -> Tensor:
        """What the network takes."""
        return normalise(batch.images, self.model.config).contiguous(memory_format=torch.channels_last)

    def autocast(self, batch: Batch) -> torch.autocast:
        """The context for the network's part of the arithmetic."""
        return torch.autocast(batch.images.device.type, torch.bfloat16, enabled=self.mixed)


class YolactObjective(Objective):
    """YOLACT and YOLACT++, at any size of pictures."""

    def __init__(self, model: Yolact, settings: LossSettings = PUBLISHED, *, mixed: bool) -> None:
        super().__init__(model, mixed=mixed)
        self.settings = settings
        self._priors = {model.config.input_hw: model.priors}

    @property
    def soft_masks(self) -> bool:
        return self.settings.soft_masks

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch on the model's device."""
        model = cast(Yolact, self.model)
        with self.autocast(batch):
            heads, segmentation = model.forward_with_segmentation(self.images(batch))
        return compute_losses(
            heads, segmentation, self._priors_for(batch.images), batch, self.settings, model.maskiou_net
        )

    def _priors_for(self, images: Tensor) -> Tensor:
        size_hw = images.shape[1], images.shape[2]
        known = self._priors.get(size_hw)
        if known is None:
            known = make_priors(resized(cast(Yolact, self.model).config, size_hw))
        self._priors[size_hw] = known.to(images.device)
        return self._priors[size_hw]


class SoloObjective(Objective):
    """SOLOv2, at any size of pictures that is a multiple of 32."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch on the model's device."""
        with self.autocast(batch):
            heads = self.model(self.images(batch))
        size_hw = batch.images.shape[1], batch.images.shape[2]
        config = cast(Solo, self.model).config
        return compute_solo_losses(cast(DynamicHeads, heads), batch, config.grids, size_hw)


class LevelPoints:
    """`level_points` of the sizes that were asked for."""

    def __init__(self) -> None:
        self._of_size: dict[tuple[int, int], Tensor] = {}

    def of(self, batch: Batch) -> Tensor:
        """Those of a batch's pictures, on its device."""
        size_hw = batch.images.shape[1], batch.images.shape[2]
        if size_hw not in self._of_size:
            self._of_size[size_hw] = level_points(size_hw).to(batch.images.device)
        return self._of_size[size_hw]


class PicoDetObjective(Objective):
    """A PicoDet with its masks, at any size of pictures that it takes.

    It begins with what it learnt of the statistics of COCO's pictures and keeps it."""

    def __init__(self, model: PicoDet, *, mixed: bool) -> None:
        super().__init__(model, mixed=mixed)
        model.steady = True
        self._points = LevelPoints()

    @property
    def soft_masks(self) -> bool:
        return True

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch on the model's device."""
        model = cast(PicoDet, self.model)
        with self.autocast(batch):
            heads = model(self.images(batch))
        points = self._points.of(batch)
        detector = compute_detector_losses(heads, points, batch)
        return detector | compute_shape_losses(model, heads, points, batch)


class MaskObjective(Objective):
    """The mask branch of a PicoDet whose detector stays as it is, at any size of pictures that it takes."""

    def __init__(self, model: PicoDet, *, mixed: bool) -> None:
        super().__init__(model, mixed=mixed)
        for part in model.detector:
            part.requires_grad_(False)
        self.detector = FrozenDetector(model, torch.bfloat16 if mixed else torch.float32)
        self._points = LevelPoints()

    @property
    def soft_masks(self) -> bool:
        return True

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch on the model's device."""
        model = cast(PicoDet, self.model)
        found = self.detector(self.images(batch))
        with self.autocast(batch):
            heads = model.assemble(*found)
        return compute_shape_losses(model, heads, self._points.of(batch), batch)


def make_objective(model: Network, *, mixed: bool) -> Objective:
    """The published losses of a network's family; `SOFT` ones for `yolact_lite`, whose pictures are small.

    Raises ConfigError for a family that is not trained here.
    """
    if isinstance(model, Yolact):
        settings = SOFT if model.config.name == "yolact_lite" else PUBLISHED
        return YolactObjective(model, settings, mixed=mixed)
    if isinstance(model, PicoDet):
        return PicoDetObjective(model, mixed=mixed)
    if isinstance(model, RtmDet | MaskRcnn):
        raise ConfigError(
            f"model {model.config.name}: it is not trained here; take picodet_s or solov2_light_r50"
        )
    if model.config.head != "dynamic":
        raise ConfigError(
            f"model {model.config.name}: SOLO of 2019 is not trained here; take solov2_light_r50 or a YOLACT"
        )
    return SoloObjective(model, mixed=mixed)
