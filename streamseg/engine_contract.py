"""Contract 2: what every engine is, whatever its family and runtime.

| tensor       | shape           | dtype   | meaning                                             |
|--------------|-----------------|---------|-----------------------------------------------------|
| in  frames   | (B, h, w, 3)    | uint8   | BGR, already at the engine's input size             |
| out boxes    | (B, K, 4)       | float32 | x1 y1 x2 y2, relative 0…1 to the input              |
| out scores   | (B, K)          | float32 | descending; entries ≥ count are 0                   |
| out classes  | (B, K)          | int32   | 0-based foreground class                            |
| out masks    | (B, K, mh, mw)  | uint8   | soft mask × 255, already cropped to its box         |
| out count    | (B,)            | int32   | valid entries                                       |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import NotAnEngine

__all__ = [
    "CONTRACT_VERSION",
    "INPUT_NAME",
    "OUTPUT_NAMES",
    "Engine",
    "EngineInfo",
    "EngineOutputs",
    "info_from_metadata",
    "metadata_from_info",
]

CONTRACT_VERSION = 1
INPUT_NAME = "frames"
OUTPUT_NAMES = ("boxes", "scores", "classes", "masks", "count")
PREFIX = "streamseg."
MAKE_ONE = "streamseg export MODEL -o OUT.onnx"


@dataclass(frozen=True, slots=True, eq=False)
class EngineOutputs:
    """One batch of results. The arrays may be reused by the next call: copy what you keep."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    masks: NDArray[np.uint8]
    count: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the file says of itself (`streamseg.*` metadata) and its input size."""

    family: str
    model: str
    classes: tuple[str, ...]
    resize: str
    """`stretch`, or `fit`: aspect kept, placed top-left, padded right and bottom."""
    input_hw: tuple[int, int]
    """Height and width of `frames`, pixels."""
    max_detections: int
    score_threshold: float
    pad_bgr: tuple[int, int, int] = (0, 0, 0)
    """Padding colour for `fit`."""
    checkpoint: str = ""
    checkpoint_sha256: str = ""
    version: str = ""
    """Version of streamseg that exported it."""
    quantized: str = ""
    """`int8` or `mixed` for a file whose convolutions are INT8, all of them or some."""

    def arithmetic(self, rest: str) -> str:
        """What it computes in where all that is not quantised is in `rest`, which comes last."""
        return f"{self.quantized.upper()}, rest {rest}" if self.quantized else rest


def metadata_from_info(info: EngineInfo) -> dict[str, str]:
    """The `streamseg.*` entries to store in the file (the input size is the graph's own)."""
    return {
        PREFIX + "contract": str(CONTRACT_VERSION),
        PREFIX + "family": info.family,
        PREFIX + "model": info.model,
        PREFIX + "classes": json.dumps(list(info.classes), ensure_ascii=False),
        PREFIX + "resize": info.resize,
        PREFIX + "pad": ",".join(map(str, info.pad_bgr)),
        PREFIX + "max_detections": str(info.max_detections),
        PREFIX + "score_threshold": repr(info.score_threshold),
        PREFIX + "checkpoint": info.checkpoint,
        PREFIX + "checkpoint_sha256": info.checkpoint_sha256,
        PREFIX + "version": info.version,
    }


def info_from_metadata(metadata: Mapping[str, str], input_hw: tuple[int, int], path: str) -> EngineInfo:
    """Read the entries back. Raises NotAnEngine, naming `path` and the command that makes an engine."""
    if PREFIX + "contract" not in metadata:
        raise NotAnEngine(
            f"{path}: not a streamseg engine (no streamseg.* metadata); make one with: {MAKE_ONE}"
        )
    try:
        get = {key.removeprefix(PREFIX): value for key, value in metadata.items()}
        if int(get["contract"]) != CONTRACT_VERSION:
            raise NotAnEngine(
                f"{path}: engine contract {get['contract']}, this streamseg reads {CONTRACT_VERSION}; "
                f"export it again with: {MAKE_ONE}"
            )
        blue, green, red = (int(v) for v in get["pad"].split(","))
        if get["resize"] not in ("stretch", "fit"):
            raise ValueError(f"resize is {get['resize']!r}")
        return EngineInfo(
            family=get["family"],
            model=get["model"],
            classes=tuple(str(name) for name in json.loads(get["classes"])),
            resize=get["resize"],
            input_hw=input_hw,
            max_detections=int(get["max_detections"]),
            score_threshold=float(get["score_threshold"]),
            pad_bgr=(blue, green, red),
            checkpoint=get.get("checkpoint", ""),
            checkpoint_sha256=get.get("checkpoint_sha256", ""),
            version=get.get("version", ""),
            quantized=get.get("precision", ""),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise NotAnEngine(
            f"{path}: damaged streamseg metadata ({error}); export it again with: {MAKE_ONE}"
        ) from error


class Engine(Protocol):
    """A runtime. Construct it in the thread that will use it; vendor exceptions arrive as EngineError."""

    info: EngineInfo
    runtime: str
    """What runs and how, for people: `openvino BF16`."""

    def infer(self, frames: NDArray[np.uint8]) -> EngineOutputs:
        """Run one batch, (B, h, w, 3) uint8 BGR. Outputs may be reused by the next call."""

    def submit(self, frames: NDArray[np.uint8]) -> None:
        """Begin one batch; `frames` must stay unchanged until its collect. One may be under way at a time."""

    def collect(self) -> EngineOutputs:
        """Wait for the batch submitted; outputs may be reused by the next submit."""

    def close(self) -> None:
        """Free everything; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any: ...
