"""Run two engines on the same footage and say whether one may stand in for the other."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np

from streamseg.addresses import shown
from streamseg.capture.sampling import sampled_frames
from streamseg.certification.certificate import (
    Certificate,
    EngineRecord,
    Footage,
    Speed,
    WorstFrame,
    is_bundled,
    write_json,
)
from streamseg.certification.comparison import Comparison, FrameComparison, compare_frame, difference
from streamseg.certification.side_by_side import side_by_side
from streamseg.certification.verdict import Thresholds, judge
from streamseg.engines.certified import CERTIFICATE
from streamseg.engines.load import load_engine
from streamseg.engines.locate import read_info
from streamseg.engines.sidecar import file_sha256, sidecar_path, write_section
from streamseg.errors import ConfigError, EngineError
from streamseg.files import check_file_writable
from streamseg.segmenter import Segmenter
from streamseg.sinks.image_sink import ImageSink
from streamseg.structures import Frame, Instances, Result, Tracks

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
        _Side(reference, against_runtime, full, score - margin) as first,
        _Side(candidate, runtime, precision, score - margin) as second,
    ):
        seen = _Seen(footage, first.info.classes, score)
        for frame in sampled_frames(footage, frames):
            seen.add(frame, *_in_turn(frame, first, second))
            if on_frame:
                on_frame(seen.frames, frames)
    figures = seen.total.figures()
    verdict, found = judge(figures, thresholds)
    certificate = Certificate(
        verdict=verdict,
        faults=found,
        candidate=second.record,
        reference=first.record,
        footage=seen.footage(),
        score=score,
        margin=margin,
        thresholds=thresholds,
        figures=figures,
        speed=_speed(first, second),
        worst=tuple(_row(*pair, _drawn(sink, *pair, (first, second))) for pair in seen.worst),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _keep(certificate, candidate, json)
    return certificate


class _Side:
    """One engine with its clock."""

    def __init__(self, path: Path, runtime: str, precision: str, least_score: float) -> None:
        digest = file_sha256(path)
        engine = load_engine(path, runtime, precision)
        self.info = engine.info
        self.record = EngineRecord(str(path), digest, engine.runtime)
        self.label = f"{path.name}, {engine.runtime}"
        self.ms: list[float] = []
        self._segmenter = Segmenter(engine, score=least_score)

    def found_in(self, frame: Frame) -> Instances:
        if not self.ms:
            self._segmenter.segment([frame])  # buffers, threads and caches come with the first frame
        began = time.perf_counter()
        (found,) = self._segmenter.segment([frame])
        self.ms.append((time.perf_counter() - began) * 1e3)
        return found.instances

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._segmenter.close()


class _Seen:
    """The footage as it goes by, and what was found in it."""

    def __init__(self, name: str, class_names: Sequence[str], score: float) -> None:
        self.frames = 0
        self.total = Comparison(class_names)
        self.worst: list[tuple[Frame, FrameComparison]] = []
        """Those that differ most, the worst first; frames that do not differ are none of them."""
        self._name = name
        self._score = score
        self._pixels = hashlib.sha256()
        self._is_file = Path(name).is_file()

    def add(self, frame: Frame, reference: Instances, candidate: Instances) -> None:
        compared = compare_frame(reference, candidate, self._score)
        self.frames += 1
        self.total.add(compared)
        if compared.badness > 0:
            self.worst.append((frame, compared))
            self.worst.sort(key=lambda pair: -pair[1].badness)
            del self.worst[KEPT_WORST:]
        if not self._is_file:
            self._pixels.update(frame.image.data)

    def footage(self) -> Footage:
        digest = file_sha256(Path(self._name)) if self._is_file else self._pixels.hexdigest()
        return Footage(shown(self._name), digest, self.frames)


def _keep(certificate: Certificate, candidate: Path, json: Path | None) -> None:
    if certificate.is_kept:
        write_section(candidate, CERTIFICATE, certificate.as_dict())
    if json:
        write_json(certificate, json)


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


def _in_turn(frame: Frame, reference: _Side, candidate: _Side) -> tuple[Instances, Instances]:
    """What both find; who goes first changes, so that neither always runs on the other's warm caches."""
    if len(reference.ms) % 2:
        later = candidate.found_in(frame)
        return reference.found_in(frame), later
    return reference.found_in(frame), candidate.found_in(frame)


def _speed(reference: _Side, candidate: _Side) -> Speed:
    a, b = np.array(reference.ms), np.array(candidate.ms)
    return Speed(float(np.median(a)), float(np.median(b)), float(np.median(a / b)))


def _row(frame: Frame, compared: FrameComparison, picture: Path | None) -> WorstFrame:
    matching = compared.matching
    return WorstFrame(
        index=frame.index,
        pts_seconds=round(frame.pts_seconds, 3),
        missed=len(matching.missed),
        extra=len(matching.extra),
        changed=len(matching.changed),
        least_iou=float(matching.iou.min()) if len(matching.iou) else None,
        picture=str(picture) if picture else None,
    )


def _drawn(
    sink: ImageSink | None, frame: Frame, compared: FrameComparison, sides: tuple[_Side, _Side]
) -> Path | None:
    """The file of a frame's picture, written, where there is a sink for it."""
    if sink is None:
        return None
    first, second = (
        side.select(judged)
        for side, judged in zip((compared.reference, compared.candidate), compared.judged, strict=True)
    )
    names = sides[0].info.classes
    canvas = side_by_side(
        frame,
        (first, f"reference: {sides[0].label}"),
        (second, f"candidate: {sides[1].label}"),
        difference(compared),
        names,
    )
    sink.write(Result(frame, first, Tracks.untracked(first), names, canvas=canvas))
    return sink.folder / f"{frame.index:08d}.png"
