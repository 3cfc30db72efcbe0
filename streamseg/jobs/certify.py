"""Run two engines on the same footage and say whether one may stand in for the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from streamseg.addresses import shown
from streamseg.capture.sampling import sampled_frames
from streamseg.certification.certificate import (
    Certificate,
    EngineRecord,
    Footage,
    WorstFrame,
    is_bundled,
    write_certificate,
)
from streamseg.certification.comparison import FrameComparison, difference, moved_boxes
from streamseg.certification.side_by_side import side_by_side
from streamseg.certification.thresholds import Thresholds
from streamseg.certification.trial import Trial
from streamseg.certification.verdict import judge
from streamseg.engine_contract import Engine
from streamseg.engines.certified import CERTIFICATE
from streamseg.engines.load import load_engine
from streamseg.engines.locate import read_info
from streamseg.engines.sidecar import sidecar_path, write_section
from streamseg.errors import ConfigError, EngineError
from streamseg.files import check_file_writable, file_sha256
from streamseg.sinks.image_sink import ImageSink
from streamseg.structures import Frame, Result, Tracks

__all__ = ["certify_engine"]


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
    json: Path | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> Certificate:
    """Compare `candidate` with `reference` on `frames` frames spread evenly over `footage`.

    `footage` is a clip, a folder or glob of images, or a synthetic scene with an end. `against_precision`
    `auto` is FP32 for files that can be run in it. `pictures` is a folder for the worst frames, `json` a
    file for all of the certificate; `on_frame` is told how many are done, and of how many at most.

    The certificate goes into the candidate's sidecar, unless the footage was not enough, an engine was
    compared with itself, or the candidate is bundled. Raises EngineError (different classes), ConfigError (an
    engine that does not list scores as low as `score` − `margin`), SourceError, SinkError.
    """
    if frames < 1:
        raise ConfigError(f"frames: {frames}, at least 1 is needed")
    _check(candidate, reference, score - margin)
    _check_outputs(candidate, json)
    sink = ImageSink(pictures, "png") if pictures else None
    full = _precision_of(reference, against_precision)
    with (
        load_engine(reference, against_runtime, full) as first,
        load_engine(candidate, runtime, precision) as second,
    ):
        records = _record(candidate, second), _record(reference, first)
        watched = _Footage(footage)
        trial = Trial(first, second, score, margin, thresholds)
        trial.run(
            watched.passing(sampled_frames(footage, frames)),
            frames,
            lambda: on_frame(trial.frames, frames) if on_frame else None,
        )
    figures = trial.total.figures()
    verdict, found = judge(figures, thresholds)
    certificate = Certificate(
        verdict=verdict,
        faults=found,
        candidate=records[0],
        reference=records[1],
        footage=watched.record(),
        score=score,
        margin=margin,
        thresholds=thresholds,
        figures=figures,
        one_at_a_time=trial.one_at_a_time,
        speed=trial.speed(),
        worst=_worst(trial.worst, sink, records, trial.total.class_names, thresholds),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _keep(certificate, candidate, json)
    return certificate


def _record(path: Path, engine: Engine) -> EngineRecord:
    return EngineRecord(str(path), file_sha256(path), engine.runtime, engine.runtime_name, engine.precision)


class _Footage:
    """What goes by, and its SHA-256."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._frames = 0
        self._pixels = hashlib.sha256()
        self._is_file = Path(name).is_file()

    def passing(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self._frames += 1
            if not self._is_file:
                self._pixels.update(frame.image.data)
            yield frame

    def record(self) -> Footage:
        digest = file_sha256(Path(self._name)) if self._is_file else self._pixels.hexdigest()
        return Footage(shown(self._name), digest, self._frames)


def _keep(certificate: Certificate, candidate: Path, json: Path | None) -> None:
    if certificate.is_kept:
        write_section(candidate, CERTIFICATE, certificate.as_dict())
    if json:
        write_certificate(certificate, json)


def _check(candidate: Path, reference: Path, least_score: float) -> None:
    """Raise EngineError or ConfigError where the two cannot be compared."""
    infos = read_info(reference), read_info(candidate)
    difference = _class_difference(infos[0].classes, infos[1].classes)
    if difference:
        raise EngineError(f"{candidate}: {difference} {reference}; only engines of equal classes compare")
    for path, info in zip((reference, candidate), infos, strict=True):
        if info.score_threshold > least_score + 1e-6:
            raise ConfigError(
                f"--score: {path} lists nothing below {info.score_threshold:g}, so near ties would be "
                f"missed; ask for {info.score_threshold:g} plus the margin, or export it again with a lower "
                "--score-threshold"
            )


def _check_outputs(candidate: Path, json: Path | None) -> None:
    """Raise SinkError for what could not be written a minute later."""
    if not is_bundled(candidate):
        check_file_writable(sidecar_path(candidate))
    if json:
        check_file_writable(json)


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


def _worst(
    worst: Sequence[tuple[Frame, FrameComparison]],
    sink: ImageSink | None,
    records: tuple[EngineRecord, EngineRecord],
    class_names: Sequence[str],
    thresholds: Thresholds,
) -> tuple[WorstFrame, ...]:
    """The frames that differ most, with their pictures written where there is a sink for them."""
    rows = []
    for frame, compared in worst:
        picture = _drawn(sink, frame, compared, records, class_names, thresholds) if sink else None
        rows.append(_row(frame, compared, picture))
    return tuple(rows)


def _row(frame: Frame, compared: FrameComparison, picture: Path | None) -> WorstFrame:
    matching = compared.matching
    return WorstFrame(
        index=frame.index,
        pts_seconds=round(frame.pts_seconds, 3),
        missed=len(matching.missed),
        extra=len(matching.extra),
        changed=len(matching.changed),
        least_iou=float(matching.iou.min()) if len(matching.iou) else None,
        least_box_iou=float(compared.box_iou.min()) if len(matching.iou) else None,
        picture=str(picture) if picture else None,
    )


def _drawn(
    sink: ImageSink,
    frame: Frame,
    compared: FrameComparison,
    records: tuple[EngineRecord, EngineRecord],
    class_names: Sequence[str],
    thresholds: Thresholds,
) -> Path:
    """The file of a frame's picture, written."""
    sides = [
        (instances.select(judged), f"{role}: {Path(record.path).name}, {record.runtime}")
        for role, instances, judged, record in zip(
            ("reference", "candidate"),
            (compared.reference, compared.candidate),
            compared.judged,
            reversed(records),
            strict=True,
        )
    ]
    canvas = side_by_side(
        frame, sides[0], sides[1], difference(compared), class_names, moved_boxes(compared, thresholds)
    )
    names, shown = tuple(class_names), sides[0][0]
    sink.write(Result(frame, shown, Tracks.untracked(shown), names, canvas=canvas))
    return sink.folder / f"{frame.index:08d}.png"
