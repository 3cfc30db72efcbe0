"""What to build of a network, as a YAML file: `streamseg build engines/yolact_r50_fp16.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from streamseg.engine_contract import Precision
from streamseg.engines.build_options import BuildOptions
from streamseg.settings import Section, load_section, size_hw_from_text

__all__ = ["Recipe", "load_recipe"]

DEFAULTS = BuildOptions()


class Recipe(Section):
    """One engine, from the network's name to the certificate."""

    model: str
    """A name of `streamseg models`, a bundled engine, or an .onnx file."""
    weights: str | None = None
    """State_dict (.pth) for `model`; the published one when left out."""
    size: str | None = None
    """Input size HxW in pixels; the network's own when left out."""
    max_detections: Annotated[int, Field(ge=1)] | None = None
    """Most instances of a frame."""
    score_threshold: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Instances below it are not returned."""
    precision: Precision = DEFAULTS.precision
    """fp32, fp16, bf16, int8, or mixed: backbone and prototypes INT8, the rest FP16."""
    batch: tuple[int, int, int] = DEFAULTS.batch
    """Least, usual and largest batch, `[1, 4, 8]`."""
    calibrate: str = DEFAULTS.calibrate
    """For int8 and mixed: a clip or folder of pictures like those that the engine will see."""
    frames: Annotated[int, Field(ge=1)] = DEFAULTS.frames
    """How many of its frames."""
    workspace_gib: float = DEFAULTS.workspace_gib
    """Most memory that a tactic may take."""
    portable: Literal["no", "same_compute_capability", "ampere_plus"] = DEFAULTS.portable
    """Which other GPUs may run the engine."""
    target: Literal["tensorrt", "cpu"] = "tensorrt"
    """`cpu` gives an INT8 .onnx for ONNX Runtime and OpenVINO."""
    certify: str | None = None
    """A clip or folder on which the result is compared with the FP32 network."""

    @field_validator("batch", mode="before")
    @classmethod
    def _three_numbers(cls, value: Any) -> Any:
        if isinstance(value, int):  # what YAML 1.1 makes of 1:4:8, a time of day
            raise ValueError("write it as a list, [1, 4, 8]")
        return value.split(":") if isinstance(value, str) else value

    @property
    def options(self) -> BuildOptions:
        """What the build itself needs. Raises ConfigError for values that do not go together."""
        options = BuildOptions(
            precision=self.precision,
            batch=self.batch,
            calibrate=self.calibrate,
            frames=self.frames,
            workspace_gib=self.workspace_gib,
            portable=self.portable,
        )
        options.check()
        return options

    @property
    def export_options(self) -> dict[str, Any]:
        """What makes its ONNX file another than the one that `streamseg run --engine MODEL` would use."""
        asked = {
            "weights": self.weights,
            "input_hw": size_hw_from_text("size", self.size) if self.size else None,
            "max_detections": self.max_detections,
            "score_threshold": self.score_threshold,
        }
        return {key: value for key, value in asked.items() if value is not None}


def load_recipe(source: str, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe file `source`, or one for the engine or model `source`; `overrides` win.

    Raises ConfigError, one line naming file, key and value.
    """
    if Path(source).suffix in (".yaml", ".yml"):
        return load_section(Recipe, source, overrides)
    return load_section(Recipe, None, {"model": source, **overrides})
