"""Run two engines on the same footage and say whether one may stand in for the other."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from streamseg.capture.sampling import sampled_frames
from streamseg.certificate import Certificate, EngineRecord, Footage, Speed, WorstFrame
from streamseg.engines.certificate import CERTIFICATE
from streamseg.engines.load import load_engine
from streamseg.engines.locate import read_info
from streamseg.engines.sidecar import file_sha256, write_section
from streamseg.errors import ConfigError, EngineError
from streamseg.evaluation.comparison import Comparison, Figures, FrameComparison, compare_frame, difference
from streamseg.evaluation.verdict import Thresholds, faults
from streamseg.overlay.side_by_side import side_by_side, write_picture
from streamseg.report import without_credentials
from streamseg.segmenter import Segmenter
from streamseg.structures import Frame, Instances

__all__ = ["certify_engine"]

KEPT_WORST = 3


def certify_engine(
    candidate: Path,
    reference: Path,
    footage: str,
    *,
    frames: int = 100,
    score: float = 0.3,
    margin: float = 0.05,
    thresholds: Thresholds = Thresholds(),  # noqa: B008  frozen
    runtime: str = "auto",
    precision: str = "auto",
    against_runtime: str = "auto",
    against_precision: str = "auto",
    pictures: Path | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> Certificate:
    """Compare `candidate` with `reference` on `frames` frames spread evenly over `footage`.

    `footage` is a clip, a folder or glob of images, or a synthetic scene with an end. `against_precision`
    `auto` is FP32 for files that can be run in it. `pictures` is a folder for the worst frames; `on_frame`
    is told how many are done, and of how many at most.

    The certificate goes into the candidate's sidecar, unless the footage was not enough, an engine was
    compared with itself, or the candidate is bundled. Raises EngineError (different classes), ConfigError (an
    engine that does not list scores as low as `score` − `margin`), SourceError, SinkError.
    """
    _check(candidate, reference, score - margin)
    total = Comparison(read_info(reference).classes)
    worst: list[tuple[Frame, FrameComparison]] = []
    seen = _Seen(footage)
    with ExitStack() as stack:
        first = _Side(reference, against_runtime, _precision_of(reference, against_precision), score - margin)
        stack.callback(first.close)
        second = _Side(candidate, runtime, precision, score - margin)
        stack.callback(second.close)
        for frame in sampled_frames(footage, frames):
            both = _in_turn(frame, first, second)
            compared = compare_frame(*both, score)
            total.add(compared)
            worst = _worst_of([*worst, (frame, compared)])
            seen.add(frame)
            if on_frame:
                on_frame(seen.frames, frames)
    figures = total.figures()
    found = tuple(faults(figures, thresholds))
    enough = figures.due >= thresholds.min_instances
    certificate = Certificate(
        verdict=("failed" if found else "passed") if enough else "not enough",
        faults=found if enough else (_not_enough(figures, footage, score, thresholds),),
        candidate=second.record(),
        reference=first.record(),
        footage=seen.footage(),
        score=score,
        margin=margin,
        thresholds=thresholds,
        figures=figures,
        speed=_speed(first, second),
        worst=_worst_frames(worst, total, pictures, (first.runtime, second.runtime)),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if certificate.belongs_in_sidecar:
        write_section(candidate, CERTIFICATE, certificate.as_dict())
    return certificate


class _Side:
    """One engine with its clock."""

    def __init__(self, path: Path, runtime: str, precision: str, least_score: float) -> None:
        self._path = path
        engine = load_engine(path, runtime, precision)
        self.runtime = engine.runtime
        self.ms: list[float] = []
        self._segmenter = Segmenter(engine, score=least_score)

    def found_in(self, frame: Frame) -> Instances:
        if not self.ms:
            self._segmenter.process([frame])  # buffers, threads and caches come with the first frame
        began = time.perf_counter()
        ((_, instances),) = self._segmenter.process([frame])
        self.ms.append((time.perf_counter() - began) * 1e3)
        return instances

    def record(self) -> EngineRecord:
        return EngineRecord(str(self._path), file_sha256(self._path), self.runtime)

    def close(self) -> None:
        self._segmenter.close()


class _Seen:
    """The footage as it goes by."""

    def __init__(self, name: str) -> None:
        self.frames = 0
        self._name = name
        self._pixels = hashlib.sha256()
        self._is_file = Path(name).is_file()

    def add(self, frame: Frame) -> None:
        self.frames += 1
        if not self._is_file:
            self._pixels.update(frame.image.data)

    def footage(self) -> Footage:
        digest = file_sha256(Path(self._name)) if self._is_file else self._pixels.hexdigest()
        return Footage(without_credentials(self._name), digest, self.frames)


def _check(candidate: Path, reference: Path, least_score: float) -> None:
    """Raise EngineError or ConfigError where the two cannot be compared."""
    infos = read_info(reference), read_info(candidate)
    difference = _class_difference(infos[0].classes, infos[1].classes)
    if difference:
        raise EngineError(f"{candidate}: {difference} {reference}; only engines of equal classes compare")
    for path, info in zip((reference, candidate), infos, strict=True):
        if info.score_threshold > least_score + 1e-6:
            raise ConfigError(
                f"--score: {path} lists nothing below {info.score_threshold:g}, so near ties would count as "
                f"misses; ask for a score of {info.score_threshold:g} plus the margin, or export it again with "
                "a lower --score-threshold"
            )


def _class_difference(wanted: tuple[str, ...], have: tuple[str, ...]) -> str:
    lacks, adds = sorted(set(wanted) - set(have)), sorted(set(have) - set(wanted))
    parts = [f"lacks {', '.join(map(repr, lacks[:5]))}"] if lacks else []
    parts += [f"has {', '.join(map(repr, adds[:5]))} in addition"] if adds else []
    if not parts and wanted != have:
        k = next(k for k, (a, b) in enumerate(zip(wanted, have, strict=False)) if a != b)
        parts = [f"has its classes in another order ({k} is {have[k]!r}, not {wanted[k]!r})"]
    return " and ".join(parts) + " compared with" if parts else ""


def _precision_of(reference: Path, asked: str) -> str:
    """What a reference runs in: in full precision, unless its own is built in."""
    return "fp32" if asked == "auto" and reference.suffix.lower() in (".onnx", ".pth") else asked


def _in_turn(frame: Frame, reference: _Side, candidate: _Side) -> tuple[Instances, Instances]:
    """What both find; who goes first changes, so that neither always runs on the other's warm caches."""
    if len(reference.ms) % 2:
        later = candidate.found_in(frame)
        return reference.found_in(frame), later
    return reference.found_in(frame), candidate.found_in(frame)


def _speed(reference: _Side, candidate: _Side) -> Speed:
    a, b = np.array(reference.ms), np.array(candidate.ms)
    return Speed(float(np.median(a)), float(np.median(b)), float(np.median(a / b)))


def _not_enough(figures: Figures, footage: str, score: float, thresholds: Thresholds) -> str:
    return (
        f"not enough: the reference finds {figures.due} instances of score {score:g} or more in "
        f"{figures.frames} frames of {without_credentials(footage)}, {thresholds.min_instances} are needed; "
        "use footage with more objects, or more frames"
    )


def _worst_of(frames: list[tuple[Frame, FrameComparison]]) -> list[tuple[Frame, FrameComparison]]:
    """Those that differ most, the worst first; frames that do not differ are none of them."""
    differing = [pair for pair in frames if pair[1].badness > 0]
    return sorted(differing, key=lambda pair: -pair[1].badness)[:KEPT_WORST]


def _worst_frames(
    worst: list[tuple[Frame, FrameComparison]],
    total: Comparison,
    folder: Path | None,
    runtimes: tuple[str, str],
) -> tuple[WorstFrame, ...]:
    rows = []
    for rank, (frame, compared) in enumerate(worst, start=1):
        picture = None
        if folder is not None:
            picture = folder / f"worst-{rank}-frame-{frame.index:06d}.png"
            sides = (
                (compared.reference, f"reference: {runtimes[0]}"),
                (compared.candidate, f"candidate: {runtimes[1]}"),
            )
            write_picture(picture, side_by_side(frame, sides, difference(compared), total.class_names))
        matching = compared.matching
        rows.append(
            WorstFrame(
                index=frame.index,
                pts_seconds=round(frame.pts_seconds, 3),
                missed=len(matching.missed),
                extra=len(matching.extra),
                changed=len(matching.changed),
                least_iou=float(matching.iou.min()) if len(matching.iou) else None,
                picture=str(picture) if picture else None,
            )
        )
    return tuple(rows)
