"""What a server may ask of a run, and what it hears. The models are also the schemas of the API.

Tested in tests/serving/test_api.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, RootModel

from streamseg.source_state import SourceReason, StateName
from streamseg.structures import Result

__all__ = [
    "AgeQuantiles",
    "KeptInstances",
    "NewRule",
    "NewSource",
    "Problem",
    "RecentEvents",
    "ResultView",
    "Rules",
    "RunStatus",
    "ServedRun",
    "SourceStatus",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AgeQuantiles(_Model):
    """Milliseconds from capture to the slowest output, over the last 10 seconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


class SourceStatus(_Model):
    id: str
    spec: str
    """What it is, without its secrets."""
    live: bool
    state: StateName
    state_seconds: float
    """How long it has been in this state."""
    reason: SourceReason | None
    """Why it is not live, in a word."""
    detail: str
    """The same in a sentence; empty where there is nothing to say."""
    width: int | None
    height: int | None
    captured: int
    delivered: int
    dropped: dict[str, int]
    """Frames by cause; they only grow."""
    fps: float
    age: AgeQuantiles
    reconnects: int
    silent_seconds: float
    """Since the last frame that the engine has seen came out, or since the source was added."""


class KeptInstances(_Model):
    """What may be changed while it runs; a key that is left out stays as it is."""

    score: Annotated[float, Field(ge=0, le=1)] | None = None
    """Instances below it are not shown."""
    double_iou: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of two instances of different classes with a greater mask IoU the surer one stays; 1: both."""
    classes: tuple[str, ...] | None = None
    """Classes to keep; empty: all."""


class RunStatus(_Model):
    version: str
    engine: str
    """Its model."""
    runtime: str
    """`loading` until the engine is open."""
    seconds: float
    """How long it has run."""
    classes: tuple[str, ...]
    """What the engine knows."""
    thresholds: KeptInstances
    rung: int
    """Of the ladder that keeps `max_age_s` (docs/latency.md). 0: every frame is inferred; 1: every second;
    2: the engine works beside what is shown."""
    rules: dict[str, tuple[str, ...]]
    """Names of the rules of events, by kind."""
    sources: tuple[SourceStatus, ...]
    notice: str | None
    """What last went wrong with the configuration file, if anything did."""

    @property
    def ready(self) -> bool:
        """Whether the engine is open."""
        return self.runtime != "loading"


class NewSource(_Model):
    spec: Annotated[str, Field(min_length=1, max_length=4096)]
    """An rtsp(s):// or http(s):// address, a file in an allowed folder, or `synthetic`."""


class Rules(RootModel[dict[str, Any]]):
    """The rules of events as a configuration has them under `events`; what is as usual is left out."""


class NewRule(RootModel[dict[str, Any]]):
    """One rule as a configuration has it: `{"polygon": [[0, 0], [1, 0], [1, 1]], "classes": ["person"]}`."""


class RecentEvents(_Model):
    events: tuple[dict[str, Any], ...]
    """CloudEvents by the schema of docs/events.md, the newest first."""


class Problem(_Model):
    error: str
    """One line: what is wrong and what to do."""


class ServedRun(Protocol):
    """Methods are called in the server's thread and return at once; a change is done when its future is.

    A future ends with a StreamsegError where a change is refused; everything is then as it was.
    """

    def status(self) -> RunStatus: ...

    def add_source(self, spec: str) -> Future[str]:
        """Its id."""

    def change_source(self, source_id: str, spec: str) -> Future[None]:
        """Another spec under the same id; a masked secret of the old one is kept for the same host."""

    def remove_source(self, source_id: str) -> Future[None]: ...

    def clip(self, source_id: str) -> Future[None]:
        """Done when the clip is ordered."""

    def set_thresholds(self, thresholds: KeptInstances) -> Future[None]: ...

    def rules(self) -> Rules: ...

    def set_rule(self, kind: str, name: str, rule: NewRule) -> Future[None]:
        """Of `zones`, `lines` … ; one of that name is replaced."""

    def remove_rule(self, kind: str, name: str) -> Future[None]: ...


class ResultView(Protocol):
    """How results are told and shown; for one thread."""

    def describe(self, result: Result) -> Mapping[str, Any]:
        """The line of docs/jsonl.md, with `colours`: `#rrggbb` for each instance, and `marks`: zones and
        lines with `name`, `points` in frame pixels, `line`, `text` and `active`."""

    def events(self, result: Result) -> tuple[dict[str, Any], ...]:
        """Its events as CloudEvents, in order."""

    def paint(self, result: Result) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR, the frame with the overlay."""
