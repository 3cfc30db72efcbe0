"""The whole engine as one torch module: frames in, instances out.

Tested in tests/export/test_onnx_export.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from streamseg.engine_contract import OUTPUT_NAMES, EngineInfo
from streamseg.models.families import family_of, make_tail
from streamseg.models.instance_tensors import InstanceTensors
from streamseg.models.network import Network
from streamseg.version import __version__

__all__ = ["EngineModule"]

RGB_FROM_BGR = (2, 1, 0)


class EngineModule(nn.Module):
    """A network with normalisation before it and its family's tail behind it; meets the engine contract.

    Takes `model` as it is: pass it in eval mode. Reports `classes` of the model's, all if None. Raises
    ExportError for options that cannot be met.
    """

    def __init__(
        self,
        model: Network,
        *,
        max_detections: int = 100,
        score_threshold: float = 0.0,
        cross_class: bool = False,
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.classes = model.config.classes if classes is None else tuple(classes)
        self.tail = make_tail(
            model,
            max_detections=max_detections,
            score_threshold=score_threshold,
            cross_class=cross_class,
            classes=classes,
        )
        self.mean: Tensor
        self.std: Tensor
        # A tensor where the module is: a list would be copied to the GPU at each call, which no graph allows.
        self.rgb_from_bgr: Tensor
        self.register_buffer("rgb_from_bgr", torch.tensor(RGB_FROM_BGR), persistent=False)
        self.register_buffer("mean", _plane(model.config.mean_rgb), persistent=False)
        self.register_buffer("std", _plane(model.config.std_rgb), persistent=False)
        self.family = family_of(model)
        self.pad: Tensor
        """The colour beside a picture that keeps its aspect: the family's, or the mean's, as near as whole
        levels come."""
        own = self.family.pad_rgb
        self.register_buffer("pad", self.mean.round() if own is None else _plane(own), persistent=False)

    @property
    def output_names(self) -> tuple[str, ...]:
        """What `forward` gives, in order: names of the engine contract."""
        return OUTPUT_NAMES

    def forward(self, frames: Tensor) -> InstanceTensors:
        """Instances of frames (B, h, w, 3) uint8 BGR."""
        tensors: InstanceTensors = self.tail(*self.model(self.normalised(frames)))
        return tensors

    def normalised(self, frames: Tensor) -> Tensor:
        """What the network takes, (B, 3, h, w) float32, of frames (B, h, w, 3) uint8 BGR."""
        # To float first: TensorRT lets a uint8 input feed nothing but a cast.
        planes = frames.float().permute(0, 3, 1, 2)[:, self.rgb_from_bgr]
        x = (planes - self.mean) / self.std
        if self.family.resize == "fit" and self.family.pad_rgb is None:
            x = torch.where(beside_picture(planes, self.pad), 0.0, x)
        return x

    def info(self, *, checkpoint: str = "", checkpoint_sha256: str = "") -> EngineInfo:
        """What this engine says of itself."""
        config, family = self.model.config, self.family
        red, green, blue = (int(value) for value in self.pad.flatten())
        return EngineInfo(
            family=family.name,
            model=config.name,
            classes=self.classes,
            resize=family.resize,
            pad_bgr=(blue, green, red) if family.resize == "fit" else (0, 0, 0),
            input_hw=config.input_hw,
            max_detections=self.tail.max_detections,
            score_threshold=self.tail.score_threshold,
            checkpoint=checkpoint,
            checkpoint_sha256=checkpoint_sha256,
            version=__version__,
            mask_finer=family.mask_finer,
            mask_encoding=family.mask_encoding,
            mask_layout=family.mask_layout,
            mask_paste=family.mask_paste,
        )


def beside_picture(planes: Tensor, pad: Tensor) -> Tensor:
    """Whole rows and columns of images (B, 3, h, w) that have the colour `pad` → (B, 1, h, w) bool.

    The originals pad with zeros after normalisation, which no colour of whole levels becomes: left as it
    is, the nearest one moves scores of SOLOv2-light by up to 1.2e-3 (measured on the reference's weights).
    """
    differs = (planes - pad).abs().amax(1, keepdim=True)
    return (differs.amax(3, keepdim=True) == 0) | (differs.amax(2, keepdim=True) == 0)


def _plane(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
