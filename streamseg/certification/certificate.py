"""What a comparison of two engines found: the data that a sidecar keeps and a terminal shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streamseg.certification.comparison import ClassFigures, Figures
from streamseg.certification.thresholds import Thresholds
from streamseg.certification.verdict import Verdict
from streamseg.engines.certified import EDITION
from streamseg.engines.locate import list_engines
from streamseg.engines.sidecar import sidecar_path
from streamseg.errors import NotCertified
from streamseg.files import write_failure, write_json
from streamseg.version import __version__

__all__ = [
    "Certificate",
    "EngineRecord",
    "Footage",
    "Speed",
    "WorstFrame",
    "describe",
    "is_bundled",
    "require_passed",
    "write_certificate",
]


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """Which file ran, and how."""

    path: str
    sha256: str
    runtime: str
    """`openvino 2025.4.0 BF16`."""
    runtime_name: str
    """`openvino`."""
    precision: str
    """What its floating point was really computed in: `bf16`."""


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
    """Of the masks of its matched pairs."""
    least_box_iou: float | None
    """Of their boxes."""
    picture: str | None
    """File, where one was asked for."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """How a candidate compared with its reference."""

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
    one_at_a_time: str
    """Why the candidate was given single frames only; empty: batches of two as well."""
    speed: Speed
    worst: tuple[WorstFrame, ...]
    made: str
    """UTC, ISO 8601."""
    streamseg: str = __version__
    edition: int = EDITION
    """Of what is compared."""

    @property
    def passed(self) -> bool:
        """Whether the candidate may stand in for the reference."""
        return self.verdict == "passed"

    @property
    def compares_itself(self) -> bool:
        """Whether file, runtime and precision were the same on both sides."""
        sides = self.candidate, self.reference
        return len({(side.sha256, side.runtime) for side in sides}) == 1

    @property
    def is_kept(self) -> bool:
        """Whether it belongs into the candidate's sidecar: it says something of that file, which is not part
        of the package."""
        judged = self.verdict != "not enough" and not self.compares_itself
        return judged and not is_bundled(Path(self.candidate.path))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


def is_bundled(engine: Path) -> bool:
    """Whether a file is one of the package's own, beside which nothing is written."""
    return engine.resolve() in {path.resolve() for path in list_engines().values()}


def require_passed(certificate: Certificate) -> None:
    """Raise NotCertified, which names every fault, unless the certificate passed."""
    if not certificate.passed:
        why = "; ".join(certificate.faults)
        raise NotCertified(f"{certificate.candidate.path}: not certified: {why}")


def write_certificate(certificate: Certificate, path: Path) -> None:
    """Write all of it, or nothing. Raises SinkError."""
    try:
        write_json(path, certificate.as_dict(), indent=1)
    except OSError as error:
        raise write_failure(path, error) from error


def describe(certificate: Certificate) -> list[str]:
    """Lines for a terminal."""
    c = certificate
    return [
        f"candidate      {c.candidate.path}, {c.candidate.runtime}",
        f"reference      {c.reference.path}, {c.reference.runtime}",
        f"footage        {c.footage.name}, {c.footage.frames} frames; instances of score ≥ {c.score:g}, "
        f"partners ≥ {c.score - c.margin:.2f}",
        *_table(c.figures),
        *_agreement(c.figures, c.score),
        *(_worst_line(frame) for frame in c.worst),
        f"speed          {c.speed.reference_ms:.1f} → {c.speed.candidate_ms:.1f} ms a frame, "
        f"{c.speed.ratio:.2f} times as fast",
        *_verdict(c),
    ]


def _table(figures: Figures) -> list[str]:
    total = ClassFigures("all", figures.matched, figures.missed, figures.extra, figures.changed)
    width = max(len(row.name) for row in (*figures.classes, total))
    lines = [f"               {'class':{width}}  matched  missed  extra  other class"]
    for row in (*figures.classes, total):
        counts = f"{row.matched:7}  {row.missed:6}  {row.extra:5}  {row.changed:11}"
        lines.append(f"               {row.name:{width}}  {counts}")
    return lines


def _agreement(figures: Figures, score: float) -> list[str]:
    lines = []
    if figures.iou and figures.box_iou and figures.box_px and figures.boundary_px and figures.score_shift:
        edge, shift, side = figures.boundary_px, figures.score_shift, figures.box_px
        lines = [
            f"mask IoU       {_named(figures.iou)}",
            f"box IoU        {_named(figures.box_iou)}",
            f"box sides      mean {side['mean']:.2f}  p95 {side['p95']:.2f} pixels",
            f"boundary       mean {edge['mean']:.2f}  p95 {edge['p95']:.2f} pixels",
            f"score shift    mean {shift['mean']:+.4f}  p95 {shift['p95']:.4f}  largest {shift['max']:.4f}",
            f"near ties      {figures.fell_below} matched pairs fell below {score:g}, "
            f"{figures.rose_above} rose above it",
        ]
    lines.append(
        f"weak           {figures.weak_candidate} below {score:g}, reference {figures.weak_reference}"
    )
    if figures.class_changes:
        changes = list(figures.class_changes.items())[:5]
        lines.append("other class    " + ", ".join(f"{name} {count}" for name, count in changes))
    if figures.maskless:
        lines.append(f"no mask        {figures.maskless} instances of the reference have no pixel: left out")
    return lines


def _named(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in values.items())


def _worst_line(frame: WorstFrame) -> str:
    parts = [f"{frame.missed} missed", f"{frame.extra} extra", f"{frame.changed} of another class"]
    if frame.least_iou is not None:
        parts.append(f"least IoU {frame.least_iou:.3f}, of boxes {frame.least_box_iou:.3f}")
    picture = f"  {frame.picture}" if frame.picture else ""
    return f"worst frame    #{frame.index} at {frame.pts_seconds:.2f} s: {', '.join(parts)}{picture}"


def _verdict(certificate: Certificate) -> list[str]:
    lines = [f"{certificate.verdict.upper():14} {fault}" for fault in certificate.faults] or ["PASSED"]
    if certificate.one_at_a_time:
        lines.append(f"note           single frames only: {certificate.one_at_a_time}")
    if certificate.compares_itself:
        lines.append(
            "note           candidate and reference are one engine, which shows only that the check works"
        )
    if certificate.is_kept:
        lines.append(f"kept in        {sidecar_path(Path(certificate.candidate.path))}")
    return lines
