"""What a comparison of two engines found: the data that a sidecar keeps and a terminal shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from streamseg import __version__
from streamseg.engines.locate import list_engines
from streamseg.evaluation.comparison import Figures
from streamseg.evaluation.verdict import Thresholds

__all__ = ["Certificate", "EngineRecord", "Footage", "Speed", "WorstFrame"]

Verdict = Literal["passed", "failed", "not enough"]


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """Which file ran, and how."""

    path: str
    sha256: str
    runtime: str
    """`openvino 2025.4.0 BF16`."""


@dataclass(frozen=True, slots=True)
class Footage:
    """What both engines saw."""

    name: str
    sha256: str
    """Of the file; for folders and scenes, which are none, of the pixels compared."""
    frames: int


@dataclass(frozen=True, slots=True)
class Speed:
    """Frame in, instances out, one at a time: resizing, network, decoding and filtering inside the clock."""

    reference_ms: float
    """Median."""
    candidate_ms: float
    """Median."""
    ratio: float
    """Reference over candidate, median over frames: 2.0 means that the candidate is twice as fast. The
    engines took turns, and who went first changed with every frame."""


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """One of the frames that differ most."""

    index: int
    pts_seconds: float
    missed: int
    extra: int
    changed: int
    least_iou: float | None
    """Of its matched pairs."""
    picture: str | None = None
    """File, where one was asked for."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """How a candidate compared with its reference; `asdict` of it is what the sidecar holds."""

    verdict: Verdict
    """`not enough`: the reference found too little in the footage to judge; counts as not passed."""
    faults: tuple[str, ...]
    """Why it did not pass, a line each."""
    candidate: EngineRecord
    reference: EngineRecord
    footage: Footage
    score: float
    """Instances that reach it need a partner."""
    margin: float
    """The partner may score less by so much."""
    thresholds: Thresholds
    figures: Figures
    speed: Speed
    worst: tuple[WorstFrame, ...] = field(default=())
    streamseg: str = __version__
    made: str = ""
    """UTC, ISO 8601."""

    @property
    def passed(self) -> bool:
        """Whether the candidate may stand in for the reference."""
        return self.verdict == "passed"

    @property
    def compares_itself(self) -> bool:
        """Whether file, runtime and precision were the same on both sides."""
        return (self.candidate.sha256, self.candidate.runtime) == (
            self.reference.sha256,
            self.reference.runtime,
        )

    @property
    def belongs_in_sidecar(self) -> bool:
        """Whether it says something of the candidate's file, and that is not part of the package."""
        bundled = Path(self.candidate.path) in list_engines().values()
        return self.verdict != "not enough" and not self.compares_itself and not bundled

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)
