"""The data that flows through a pipeline: frozen columns of arrays, first axis N, never absent.

Coordinates are pixels of the original frame unless a field says otherwise: x to the right, y down,
(0, 0) the top left corner of the top left pixel, boxes x1 y1 x2 y2 with x2 and y2 exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "Instances", "Masks", "Result", "TrackState", "Tracks"]

Array = NDArray[Any]
Index = NDArray[np.intp] | NDArray[np.bool_]


def _check(owner: str, name: str, array: Array, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `array` has `dtype` and `shape` (None: any length)."""
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        want = tuple("*" if n is None else n for n in shape)
        raise ValueError(
            f"{owner}.{name}: expected {np.dtype(dtype)} {want}, got {array.dtype} {array.shape}"
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One decoded picture; read-only, so that it may be shared between threads without a copy."""

    image: NDArray[np.uint8]
    """(H, W, 3) uint8, BGR, C-contiguous; made read-only on construction."""
    index: int
    """Number of the frame within its source, from 0, counting frames that were dropped later."""
    pts_seconds: float
    """Media time in seconds, from the container or the receiver; increases within a source."""
    captured_ns: int
    """time.monotonic_ns() when the frame left the decoder."""
    source_id: str
    """Which source it came from; unique within a pipeline."""

    def __post_init__(self) -> None:
        _check("Frame", "image", self.image, np.uint8, (None, None, 3))
        self.image.flags.writeable = False

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def __repr__(self) -> str:
        h, w = self.size_hw
        return f"Frame({self.source_id!r} #{self.index}, {w}x{h}, pts {self.pts_seconds:.3f} s)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Masks:
    """Soft masks on the network's own grid and the way from that grid to pixels of the frame.

    Cell (i, j) covers the frame's pixels [j·sx, (j+1)·sx) × [i·sy, (i+1)·sy): its centre is at
    ((j + 0.5)·sx, (i + 0.5)·sy), the half-pixel convention of bilinear resizing with
    align_corners=False. With `resize = fit` the grid may reach beyond the frame on the right and
    at the bottom; cells out there belong to the padding.
    """

    soft: NDArray[np.uint8]
    """(N, mh, mw) uint8, 0…255 = probability 0…1, zero outside the instance's box."""
    scale_xy: tuple[float, float]
    """Frame pixels per cell: sx, sy."""
    frame_hw: tuple[int, int]
    """Height and width of the frame in pixels."""
    finer: int = 1
    """Pixels are interpolated from a grid this many times finer, itself interpolated from the cells; 1: from
    the cells. SOLOv2 is defined with 4: to the network's input first, then to the picture."""

    def __post_init__(self) -> None:
        _check("Masks", "soft", self.soft, np.uint8, (None, None, None))

    def __len__(self) -> int:
        return len(self.soft)

    def select(self, index: Index) -> Masks:
        """The masks at `index`, (n,) integers or (N,) booleans; copies."""
        return replace(self, soft=self.soft[index])

    def __repr__(self) -> str:
        return f"Masks({self.soft.shape}, frame {self.frame_hw[1]}x{self.frame_hw[0]})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Instances:
    """What the engine found in one frame, by descending score."""

    xyxy: NDArray[np.float32]
    """(N, 4) float32, pixels of the original frame, clipped to it."""
    score: NDArray[np.float32]
    """(N,) float32, 0…1."""
    class_id: NDArray[np.int32]
    """(N,) int32, index into the engine's list of classes."""
    masks: Masks
    """N masks."""

    def __post_init__(self) -> None:
        n = len(self.score)
        _check("Instances", "xyxy", self.xyxy, np.float32, (n, 4))
        _check("Instances", "score", self.score, np.float32, (n,))
        _check("Instances", "class_id", self.class_id, np.int32, (n,))
        if len(self.masks) != n:
            raise ValueError(f"Instances.masks: expected {n} masks, got {len(self.masks)}")

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls, frame_hw: tuple[int, int], mask_hw: tuple[int, int] = (1, 1)) -> Instances:
        """No instances, every column present."""
        scale = frame_hw[1] / mask_hw[1], frame_hw[0] / mask_hw[0]
        return cls(
            xyxy=np.zeros((0, 4), np.float32),
            score=np.zeros(0, np.float32),
            class_id=np.zeros(0, np.int32),
            masks=Masks(np.zeros((0, *mask_hw), np.uint8), scale, frame_hw),
        )

    def select(self, index: Index) -> Instances:
        """The instances at `index`, (n,) integers or (N,) booleans; copies."""
        return Instances(self.xyxy[index], self.score[index], self.class_id[index], self.masks.select(index))

    def __repr__(self) -> str:
        return f"Instances(n={len(self)}, masks={self.masks!r})"


class TrackState(IntEnum):
    """Where a track is in its life, as seen from one frame."""

    NONE = 0
    """The instance belongs to no track."""
    TENTATIVE = 1
    """Seen too few times to be believed; its id is −1 until it is confirmed."""
    CONFIRMED = 2
    """Has an id."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tracks:
    """Identities, aligned by index with the Instances they belong to: row k is instance k."""

    id: NDArray[np.int64]
    """(N,) int64, from 1, never reused within a source; −1 = not (yet) tracked."""
    age_seconds: NDArray[np.float32]
    """(N,) float32, media seconds since the track was born; 0 where id is −1."""
    state: NDArray[np.uint8]
    """(N,) uint8, values of TrackState."""
    xyxy: NDArray[np.float32]
    """(N, 4) float32, the track's filtered box in frame pixels; the detection's own where id is −1."""

    def __post_init__(self) -> None:
        n = len(self.id)
        _check("Tracks", "id", self.id, np.int64, (n,))
        _check("Tracks", "age_seconds", self.age_seconds, np.float32, (n,))
        _check("Tracks", "state", self.state, np.uint8, (n,))
        _check("Tracks", "xyxy", self.xyxy, np.float32, (n, 4))

    def __len__(self) -> int:
        return len(self.id)

    def select(self, index: Index) -> Tracks:
        """The rows at `index`, (n,) integers or (N,) booleans; copies."""
        return Tracks(self.id[index], self.age_seconds[index], self.state[index], self.xyxy[index])

    @classmethod
    def untracked(cls, instances: Instances) -> Tracks:
        """Every instance without an identity."""
        n = len(instances)
        return cls(
            np.full(n, -1, np.int64), np.zeros(n, np.float32), np.zeros(n, np.uint8), instances.xyxy.copy()
        )

    def __repr__(self) -> str:
        return f"Tracks(ids={self.id.tolist()})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result:
    """One frame with all that is known of it; what a sink receives."""

    frame: Frame
    instances: Instances
    tracks: Tracks
    """As long as `instances`."""
    class_names: tuple[str, ...]
    """The engine's classes; `class_names[class_id]`."""
    stamps_ns: dict[str, int] = field(default_factory=dict)
    """time.monotonic_ns() when a stage had finished with the frame, by its name; each adds its own."""
    canvas: NDArray[np.uint8] | None = None
    """(H, W, 3) uint8 BGR, the frame with the overlay drawn on a copy; None when no sink needs it."""
    shared: dict[type, Any] = field(default_factory=dict)
    """What was worked out of the result once, for all who handle it in turn; see FrameMasks.of."""

    def __post_init__(self) -> None:
        if len(self.tracks) != len(self.instances):
            raise ValueError(f"Result.tracks: expected {len(self.instances)} rows, got {len(self.tracks)}")

    def age_ms(self, stage: str) -> float:
        """Milliseconds from capture until `stage` had finished with the frame."""
        return (self.stamps_ns[stage] - self.frame.captured_ns) / 1e6

    def __repr__(self) -> str:
        return f"Result({self.frame!r}, {len(self.instances)} instances)"
