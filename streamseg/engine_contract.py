"""Contract 2: what every engine is, whatever its family and runtime.

| tensor        | shape           | dtype   | meaning                                                        |
|---------------|-----------------|---------|----------------------------------------------------------------|
| in  frames    | (B, h, w, 3)    | uint8   | BGR, already at the engine's input size                        |
| out boxes     | (B, K, 4)       | float32 | x1 y1 x2 y2, relative 0…1 to the input                         |
| out scores    | (B, K)          | float32 | descending; entries ≥ count are 0                              |
| out classes   | (B, K)          | int32   | 0-based foreground class                                       |
| out masks     | (B, K, mh, mw)  | uint8   | what is interpolated (`mask_encoding`, `mask_layout`)          |
| out count     | (B,)            | int32   | valid entries                                                  |
| out semantic  | (B, sh, sw)     | uint8   | optional: index into `stuff_classes`, 255 = none               |
| out segments  | (B, sh, sw)     | uint8   | optional: row + 1 of the instance that owns a cell, 0 = none   |

Promptable networks are a second kind with a protocol of their own, `PromptableEngine`. Needs the standard
library alone, so that the command line can name runtimes and precisions at once.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, get_args

from streamseg.errors import NotAnEngine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CONTRACT_VERSION",
    "INPUT_NAME",
    "OPTIONAL_OUTPUTS",
    "OUTPUT_NAMES",
    "PRECISIONS",
    "RUNTIME_NAMES",
    "AnyPrecision",
    "AnyRuntime",
    "Engine",
    "EngineInfo",
    "EngineOutputs",
    "Precision",
    "PromptOutputs",
    "PromptableEngine",
    "RuntimeName",
    "TensorSpec",
    "contract_tensors",
    "shortened",
]

CONTRACT_VERSION = 2
INPUT_NAME = "frames"
OUTPUT_NAMES = ("boxes", "scores", "classes", "masks", "count")
OPTIONAL_OUTPUTS = ("semantic", "segments")

RuntimeName = Literal["tensorrt", "openvino", "onnxruntime", "torch"]
RUNTIME_NAMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
"""The fastest first: that is the order in which `auto` tries them."""
Precision = Literal["fp32", "fp16", "bf16", "int8", "mixed"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""`mixed`: the backbone and what makes masks in INT8, the rest in floating point."""
AnyRuntime = Literal["auto", RuntimeName]
AnyPrecision = Literal["auto", Precision]

MOST_DETECTIONS = 100_000
MOST_FINER = 64
CHOICES = {
    "resize": ("stretch", "fit"),
    "mask_layout": ("frame", "box"),
    "mask_paste": ("continuous", "torchvision"),
    "kind": ("instances", "promptable"),
    "precision": PRECISIONS,
}
NAMES = ("family", "model", "checkpoint", "checkpoint_sha256", "version", "classes", "stuff_classes")
UNPRINTABLE = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Unicode categories that no name may hold: terminals obey escapes, lone surrogates crash what draws text."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor."""

    name: str
    shape: tuple[int | str, ...] | None
    """A text stands for a size that is free: `B`. None: the file does not say."""
    dtype: str
    """As numpy names it: `uint8`. Empty: the file does not say."""

    def agrees(self, other: TensorSpec) -> bool:
        """Whether both may be one tensor: nothing that both say differs."""
        if self.dtype and other.dtype and self.dtype != other.dtype:
            return False
        if self.shape is None or other.shape is None:
            return True
        pairs = list(zip(self.shape, other.shape, strict=False))
        sizes = [(a, b) for a, b in pairs if isinstance(a, int) and isinstance(b, int)]
        return len(self.shape) == len(other.shape) and all(a == b for a, b in sizes)

    def __str__(self) -> str:
        if self.shape is None:
            return self.dtype or "not declared"
        axes = ", ".join(map(str, self.shape))
        return f"{self.dtype} ({axes}{',' if len(self.shape) == 1 else ''})"


@dataclass(frozen=True, slots=True, eq=False)
class EngineOutputs:
    """One batch of results. The arrays may be reused by the next call: copy what you keep."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int32]
    masks: NDArray[np.uint8]
    count: NDArray[np.int32]
    semantic: NDArray[np.uint8] | None = None
    segments: NDArray[np.uint8] | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those there are, by name, in the contract's order."""
        named = ((name, getattr(self, name)) for name in (*OUTPUT_NAMES, *OPTIONAL_OUTPUTS))
        return {name: array for name, array in named if array is not None}

    def rows(self, start: int, stop: int) -> EngineOutputs:
        """Views of the frames `start`…`stop` of the batch."""
        return EngineOutputs(**{name: array[start:stop] for name, array in self.arrays().items()})


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the file says of itself (`streamseg.*` metadata) and its input size.

    Raises NotAnEngine, naming the field, for values that the contract does not have.
    """

    family: str
    model: str
    classes: tuple[str, ...]
    resize: str
    """`stretch`, or `fit`: aspect kept, placed top-left, padded right and bottom."""
    input_hw: tuple[int, int]
    """Height and width of `frames`, pixels."""
    max_detections: int
    """K; 0 for an engine that gives `semantic` alone."""
    score_threshold: float
    pad_bgr: tuple[int, int, int] = (0, 0, 0)
    """Padding colour for `fit`."""
    checkpoint: str = ""
    checkpoint_sha256: str = ""
    version: str = ""
    """Version of streamseg that exported it."""
    precision: str = "fp32"
    """Of the file: `int8` or `mixed` where its convolutions are INT8, all of them or some. A runtime may
    compute what is in floating point in less: `Engine.precision`."""
    mask_layout: str = "frame"
    """What the grid of a mask covers: `frame`, the whole input, or `box`, the instance's box."""
    mask_encoding: str = "probability"
    """`probability`: levels are probability × 255, 0 outside the box. `logit:SLOPE`: levels are 128 + SLOPE ×
    logit, so that 128 is the threshold; in a unit that may be each mask's own, and not cropped to the box."""
    mask_paste: str = "continuous"
    """How cells of layout `box` become pixels: sampled continuously, or by `torchvision`'s rule."""
    mask_finer: int = 1
    """How many times finer than the grid a mask is interpolated before it is taken to pixels."""
    stuff_classes: tuple[str, ...] = ()
    """What `semantic` points into."""
    kind: str = "instances"
    """`instances`, or `promptable`: see PromptableEngine."""

    def __post_init__(self) -> None:
        problem = _name_problem(self) or _value_problem(self)
        if problem:
            raise NotAnEngine(f"{shortened(self.model)[1:-1]}: {problem}")

    def arithmetic(self, rest: str) -> str:
        """What it computes in where all that is not quantised is in `rest`, which comes last."""
        quantised = self.precision in ("int8", "mixed")
        return f"{self.precision.upper()}, rest {rest}" if quantised else rest


def _name_problem(info: EngineInfo) -> str:
    if info.kind == "instances" and info.max_detections and not info.classes:
        return "classes: none"
    for field in (
        "family",
        "model",
        "checkpoint",
        "checkpoint_sha256",
        "version",
        "classes",
        "stuff_classes",
    ):
        value = getattr(info, field)
        for text in value if isinstance(value, tuple) else (value,):
            if not isinstance(text, str):
                return f"{field}: {shortened(text)} is no text"
            if not UNPRINTABLE.isdisjoint(map(unicodedata.category, text)):
                return f"{field}: {shortened(text)} holds characters that cannot be shown"
    return ""


def _value_problem(info: EngineInfo) -> str:
    for field, choices in CHOICES.items():
        if getattr(info, field) not in choices:
            return f"{field}: {shortened(getattr(info, field))}, expected {' or '.join(choices)}"
    height, width = info.input_hw
    checks = {
        "mask_encoding": _is_encoding(info.mask_encoding),
        "max_detections": 0 <= info.max_detections <= MOST_DETECTIONS,
        "score_threshold": math.isfinite(info.score_threshold),
        "pad_bgr": len(info.pad_bgr) == 3 and all(0 <= level <= 255 for level in info.pad_bgr),
        "mask_finer": 1 <= info.mask_finer <= MOST_FINER,
        "stuff_classes": len(info.stuff_classes) <= 255,
        "input_hw": height > 0 and width > 0,
    }
    wrong = next((field for field, right in checks.items() if not right), None)
    return f"{wrong}: {shortened(getattr(info, wrong))}" if wrong else ""


def _is_encoding(text: str) -> bool:
    if text == "probability":
        return True
    name, _, slope = text.partition(":")
    try:
        return name == "logit" and math.isfinite(float(slope)) and float(slope) > 0
    except ValueError:
        return False


def shortened(value: object) -> str:
    """A value of a file for a message: ASCII, and never long."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "…"


def contract_tensors(info: EngineInfo) -> dict[str, TensorSpec]:
    """What the contract says of the tensors of this engine, optional ones included, by name."""
    k = info.max_detections
    shapes: dict[str, tuple[tuple[int | str, ...], str]] = {
        INPUT_NAME: (("B", *info.input_hw, 3), "uint8"),
        "boxes": (("B", k, 4), "float32"),
        "scores": (("B", k), "float32"),
        "classes": (("B", k), "int32"),
        "masks": (("B", k, "mh", "mw"), "uint8"),
        "count": (("B",), "int32"),
        "semantic": (("B", "sh", "sw"), "uint8"),
        "segments": (("B", "sh", "sw"), "uint8"),
    }
    return {name: TensorSpec(name, shape, dtype) for name, (shape, dtype) in shapes.items()}


class Engine(Protocol):
    """A runtime. Construct it in the thread that will use it; vendor exceptions arrive as EngineError."""

    info: EngineInfo
    inputs: Mapping[str, TensorSpec]
    """`frames`, as the file says it."""
    outputs: Mapping[str, TensorSpec]
    """What `infer` gives, as the file says it."""
    runtime_name: str
    """`openvino`."""
    runtime_version: str
    """`2026.4.1`."""
    precision: str
    """What its floating point is really computed in: `bf16`. That of a TensorRT engine is its build's."""
    runtime: str
    """What runs and how, for people: `openvino 2026.4.1 BF16`."""

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


@dataclass(frozen=True, slots=True, eq=False)
class PromptOutputs:
    """The answer to K prompts. The arrays may be reused by the next call."""

    masks: NDArray[np.uint8]
    """(K, mh, mw) over the whole input, in `EngineInfo.mask_encoding`."""
    iou: NDArray[np.float32]
    """(K,) the IoU that the network expects of each mask, 0…1."""


class PromptableEngine(Protocol):
    """A network that is asked (`kind: promptable`), in two files: `frames` (B, h, w, 3) uint8 → `embedding`
    (B, C, eh, ew) float32, and `embedding` (1, C, eh, ew) with prompts → `masks` and `iou`.

    Prompts are relative 0…1 to the input, as boxes are. Errors arrive as EngineError.
    """

    info: EngineInfo

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Frames (B, h, w, 3) uint8 BGR → (B, C, eh, ew), once for any number of prompts. It is the
        caller's."""

    def ask_boxes(self, embedding: NDArray[np.float32], boxes: NDArray[np.float32]) -> PromptOutputs:
        """What fills each of `boxes` (K, 4), x1 y1 x2 y2, in the frame of `embedding` (C, eh, ew)."""

    def ask_points(
        self, embedding: NDArray[np.float32], points: NDArray[np.float32], labels: NDArray[np.int32]
    ) -> PromptOutputs:
        """What K sets of `points` (K, P, 2), x y, mean together; `labels` (K, P): 1 on the object, 0 beside
        it, −1 for no point, which fills shorter sets."""

    def close(self) -> None:
        """Free everything; idempotent."""
