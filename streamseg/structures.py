"""The data that flows through a pipeline: frozen columns of arrays, first axis N, never absent.

Coordinates are pixels of the original frame unless a field says otherwise: x to the right, y down,
(0, 0) the top left corner of the top left pixel, boxes x1 y1 x2 y2 with x2 and y2 exclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamseg.masks.frame_masks import FrameMasks
from streamseg.masks.runs import Runs
from streamseg.masks.soft import Masks, check_column

__all__ = [
    "STAGES",
    "Event",
    "Frame",
    "Instances",
    "Mark",
    "Masks",
    "Phase",
    "Result",
    "Segmented",
    "Stamps",
    "Stuff",
    "TrackState",
    "Tracks",
    "UtcSource",
]

UtcSource = Literal["prft", "program-date-time", "arrival"]
"""prft: the sender's clock, of the RTCP reports of RTSP. program-date-time: of an HLS playlist. arrival: this
machine's, when the frame left the decoder."""

Index = NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One decoded picture; read-only, so that it may be shared between threads without a copy."""

    image: NDArray[np.uint8]
    """(H, W, 3) uint8, BGR, C-contiguous; a read-only view of the array given, whose own flags stay as they
    are. Hand the array over: who writes into it afterwards changes the frame."""
    index: int
    """Number of the frame within its source, from 0, counting frames that were dropped later."""
    pts_seconds: float
    """Media time in seconds, from the container or the receiver; increases within a source."""
    captured_ns: int
    """time.monotonic_ns() when the frame left the decoder."""
    source_id: str
    """Which source it came from; unique within a pipeline."""
    utc_ns: int | None = None
    """When it was captured: nanoseconds since 1970, UTC; never falls within a source. None: not known, as of
    a file."""
    utc_from: UtcSource | None = None
    """Who says so."""

    def __post_init__(self) -> None:
        check_column("Frame", "image", self.image, np.uint8, (None, None, 3))
        if not self.image.flags.c_contiguous:
            raise ValueError(
                f"Frame.image: expected a C-contiguous array, got {self.image.shape} with strides "
                f"{self.image.strides}; pass np.ascontiguousarray(image)"
            )
        view = self.image.view()
        view.flags.writeable = False
        object.__setattr__(self, "image", view)

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, which makes the copy read-only as well.
        kept = self.image, self.index, self.pts_seconds, self.captured_ns, self.source_id
        return Frame, (*kept, self.utc_ns, self.utc_from)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def __repr__(self) -> str:
        h, w = self.size_hw
        return f"Frame({self.source_id!r} #{self.index}, {w}x{h}, pts {self.pts_seconds:.3f} s)"


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
    runs: tuple[Runs, ...] | None = None
    """N masks as runs of pixels, of a record, whose `masks` have no cells; None: made of `masks`."""
    pixels: FrameMasks = field(init=False)
    """The same as pixels, RLE and areas, each made once, when first asked for, whoever asks."""

    def __post_init__(self) -> None:
        n = len(self.score)
        check_column("Instances", "xyxy", self.xyxy, np.float32, (n, 4))
        check_column("Instances", "score", self.score, np.float32, (n,))
        check_column("Instances", "class_id", self.class_id, np.int32, (n,))
        if len(self.masks) != n:
            raise ValueError(f"Instances.masks: expected {n} masks, got {len(self.masks)}")
        if self.runs is not None and len(self.runs) != n:
            raise ValueError(f"Instances.runs: expected {n} masks, got {len(self.runs)}")
        object.__setattr__(self, "pixels", FrameMasks(self.masks, self.xyxy, self.runs))

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls, frame_hw: tuple[int, int]) -> Instances:
        """No instances in a frame of `frame_hw` (height, width), every column present."""
        return cls(
            xyxy=np.zeros((0, 4), np.float32),
            score=np.zeros(0, np.float32),
            class_id=np.zeros(0, np.int32),
            masks=Masks(np.zeros((0, 1, 1), np.uint8), (float(frame_hw[1]), float(frame_hw[0])), frame_hw),
        )

    def select(self, index: Index) -> Instances:
        """The instances at `index`, (n,) integers or (N,) booleans; copies."""
        rows = np.arange(len(self))[index].tolist()
        runs = None if self.runs is None else tuple(self.runs[k] for k in rows)
        masks = self.masks.select(index)
        return Instances(self.xyxy[index], self.score[index], self.class_id[index], masks, runs)

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
        check_column("Tracks", "id", self.id, np.int64, (n,))
        check_column("Tracks", "age_seconds", self.age_seconds, np.float32, (n,))
        check_column("Tracks", "state", self.state, np.uint8, (n,))
        check_column("Tracks", "xyxy", self.xyxy, np.float32, (n, 4))

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
class Stuff:
    """What a panoptic or semantic engine says of every cell: its kind of stuff, and whose it is.

    Cells lie on a grid over the engine's whole input, whose corner is the frame's: cell (i, j) covers the
    frame's pixels [j·sx, (j+1)·sx) × [i·sy, (i+1)·sy).
    """

    kind: NDArray[np.uint8]
    """(sh, sw) uint8, index into `names`; 255 = none."""
    owner: NDArray[np.uint8] | None
    """(sh, sw) uint8, row of the instance that owns the cell + 1; 0 = none. None: the engine does not decide
    that, and instances lie on stuff by score."""
    names: tuple[str, ...]
    """The engine's kinds of stuff."""
    scale_xy: tuple[float, float]
    """Frame pixels per cell: sx, sy."""
    frame_hw: tuple[int, int]
    """Height and width of the frame in pixels."""

    def __post_init__(self) -> None:
        check_column("Stuff", "kind", self.kind, np.uint8, (None, None))
        if self.owner is not None:
            check_column("Stuff", "owner", self.owner, np.uint8, (None, None))

    def select(self, index: Index, count: int) -> Stuff:
        """The same when of `count` instances those at `index`, (n,) integers or (N,) booleans, remain.

        Cells of those that do not have no owner.
        """
        if self.owner is None:
            return self
        rows = np.arange(count)[index][:255]  # no cell can name more
        named = rows < 255
        row_after = np.zeros(256, np.uint8)
        row_after[rows[named] + 1] = np.flatnonzero(named) + 1
        return replace(self, owner=row_after[self.owner])

    def __repr__(self) -> str:
        return f"Stuff({self.kind.shape}, frame {self.frame_hw[1]}x{self.frame_hw[0]})"


Phase = Literal["started", "updated", "ended", "happened"]
"""`happened`: an instant, such as a line that was crossed; the others are one thing that lasts."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a rule saw begin, change, end or happen."""

    id: str
    """The same for all phases of one thing, and whenever the same input is seen again: 16 hex digits."""
    kind: str
    """Which kind of rule: `zone`, `line`, `count` …"""
    rule: str
    """The rule's name."""
    phase: Phase
    source_id: str
    frame_index: int
    """Of the frame at which it was decided."""
    pts_seconds: float
    """Media time of that frame."""
    at_seconds: float
    """Media time at which it was so; earlier by the rule's patience."""
    track: int | None
    """Id of the object; None where it is about the whole picture."""
    class_name: str | None
    data: Mapping[str, float | int | str | bool]
    """What the kind of rule has to say."""


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A zone or line to be drawn."""

    name: str
    points: NDArray[np.float32]
    """(n, 2) float32 x y, frame pixels; a closed polygon or an open line."""
    is_line: bool
    """Its forward side is to the right of the way from the first point to the last."""
    text: str
    """Its counts, ready to read."""
    active: bool
    """Whether something is going on."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """time.monotonic_ns() when each stage had finished with a frame, in order; None before."""

    segment: int | None = None
    track: int | None = None
    overlay: int | None = None


STAGES = tuple(column.name for column in fields(Stamps))
"""Stages after which the age of a frame is measured, in order."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Segmented:
    """One frame and what the engine found in it; on its way from segment to track."""

    frame: Frame
    instances: Instances
    stuff: Stuff | None = None
    """None: the engine knows no stuff."""
    stamps: Stamps = Stamps()
    coasted: bool = False
    """The engine was not asked: `instances` are to be moved here from the frame before."""

    def __repr__(self) -> str:
        return f"Segmented({self.frame!r}, {len(self.instances)} instances)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result:
    """One frame with all that is known of it; what a sink receives. A stage that adds something makes a new
    one (`dataclasses.replace`)."""

    frame: Frame
    instances: Instances
    tracks: Tracks
    """As long as `instances`."""
    class_names: tuple[str, ...]
    """The engine's classes; `class_names[class_id]`."""
    stamps: Stamps = Stamps()
    canvas: NDArray[np.uint8] | None = None
    """(H, W, 3) uint8 BGR, the frame with the overlay drawn on a copy, or (H, W, 4) with alpha of a
    cut-out; None when no sink needs it."""
    stuff: Stuff | None = None
    """None: the engine knows no stuff. `owner` counts the rows of `instances`."""
    events: tuple[Event, ...] = ()
    """What the rules made of this frame."""
    marks: tuple[Mark, ...] = ()
    """The zones and lines of the rules, with what they have counted up to this frame."""
    coasted: bool = False
    """Whether masks and boxes were moved here with their tracks from an earlier frame; False: the engine saw
    this very frame."""
    recent_age_ms: tuple[float, float, float] | None = None
    """p50, p95 and p99 of the ages of this source's results over the last seconds, in the sink that gets this
    one, milliseconds from capture; None before."""

    def __post_init__(self) -> None:
        if len(self.tracks) != len(self.instances):
            raise ValueError(f"Result.tracks: expected {len(self.instances)} rows, got {len(self.tracks)}")

    def age_ms(self, stage: str) -> float:
        """Milliseconds from capture until `stage`, one of STAGES, had finished with the frame.

        Raises ValueError when it has not yet, AttributeError when there is no such stage.
        """
        stamp: int | None = getattr(self.stamps, stage)
        if stamp is None:
            raise ValueError(f"Result.age_ms: {stage!r} has not finished with {self.frame!r}")
        return (stamp - self.frame.captured_ns) / 1e6

    def __repr__(self) -> str:
        return f"Result({self.frame!r}, {len(self.instances)} instances)"
