"""What `streamseg eval` does: measure an engine file on annotated images, or on the synthetic scene."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from streamseg.capture.synthetic_source import parse_synthetic
from streamseg.datasets.coco import CocoDataset
from streamseg.datasets.read import read_dataset
from streamseg.engines.load import load_engine
from streamseg.engines.locate import list_engines, read_info
from streamseg.errors import EngineError, Interrupted, SinkError
from streamseg.evaluation.contact_sheet import contact_sheet, worst
from streamseg.evaluation.dataset_eval import Evaluation, evaluate_dataset
from streamseg.evaluation.paired import paired_difference
from streamseg.evaluation.scene_benchmark import SceneBenchmark
from streamseg.evaluation.scenes import FIRST_SEED
from streamseg.evaluation.semantic import SemanticMaps
from streamseg.files import check_file_writable, file_sha256, write_failure, write_json
from streamseg.jobs.run import build
from streamseg.pictures import write_picture
from streamseg.scene import CLASS_NAME, SyntheticScene
from streamseg.streaming.config import load_config
from streamseg.structures import Result
from streamseg.version import __version__

__all__ = ["evaluate_on_data", "evaluate_on_scenes", "write_report"]

Progress = Callable[[int, int], None]
JPEG_QUALITY = 90


def evaluate_on_data(
    engine: Path,
    data: Path,
    *,
    images: Path | None = None,
    split: str = "val",
    runtime: str = "auto",
    precision: str = "auto",
    against: Path | None = None,
    semantic: Path | None = None,
    detections: Path | None = None,
    pictures: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Figures of an engine on annotated images (docs/eval.md), whatever `read_dataset` reads.

    `images`: their folder, where it is not found by itself; `split`: which part of the data, where there are
    several. `against`: another engine, for the paired
    difference. `semantic`: a folder for `SemanticMaps`. `detections`: a file for what was found, in COCO's
    results format; `pictures`: a folder for `worst.jpg`. `progress` is told of images done and of all.

    Raises DatasetError, EngineError, ConfigError, SinkError.
    """
    if detections:
        check_file_writable(detections)
    if pictures:
        _make_folder(pictures)
    left_out: list[str] = []
    dataset = read_dataset(data, images, split=split, left_out=left_out.append)
    maps = SemanticMaps(semantic) if semantic else None

    def measured(path: Path) -> tuple[Evaluation, dict[str, Any]]:
        return _measured(path, (runtime, precision), dataset, left_out, maps, progress)

    evaluation, figures = measured(engine)
    if detections:
        write_report(evaluation.detections, detections)
    if pictures:
        _write_worst(evaluation, pictures)
    figures["data"] = str(dataset.path)
    if against:
        other, others = measured(against)
        compared = asdict(paired_difference(evaluation.tables, other.tables))
        figures["against"] = {key: others[key] for key in ("engine", "engine_sha256", "runtime")} | compared
    return figures


def _measured(
    path: Path,
    how: tuple[str, str],
    dataset: CocoDataset,
    left_out: list[str],
    maps: SemanticMaps | None,
    progress: Progress,
) -> tuple[Evaluation, dict[str, Any]]:
    with load_engine(path, *how) as engine:
        began = time.monotonic()
        evaluation = evaluate_dataset(engine, dataset, left_out=left_out, semantic=maps, progress=progress)
        return evaluation, evaluation.figures | _record(path, engine.runtime, began)


def _record(path: Path, runtime: str, began: float) -> dict[str, Any]:
    return {
        "engine": next((name for name, bundled in list_engines().items() if bundled == path), str(path)),
        "engine_sha256": file_sha256(path),
        "runtime": runtime,
        "seconds": round(time.monotonic() - began, 3),
        "streamseg": __version__,
    }


def _write_worst(evaluation: Evaluation, folder: Path) -> None:
    sheet = contact_sheet(worst(evaluation.images), evaluation.names)
    path = folder / "worst.jpg"
    try:
        write_picture(path, sheet, jpeg_quality=JPEG_QUALITY)
    except OSError as error:
        raise write_failure(path, error) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise SinkError(f"{folder}: is a file; pictures need a folder") from error
    except OSError as error:
        raise write_failure(folder, error) from error


class _SceneSink:
    """Compares each result with the truth of the scene it shows."""

    needs_canvas = False

    def __init__(self, scenes: dict[str, SyntheticScene], frames: int, progress: Progress) -> None:
        self.benchmark = SceneBenchmark()
        self._scenes = scenes
        self._frames = frames
        self._done = 0
        self._progress = progress

    def write(self, result: Result) -> None:
        _, truth = self._scenes[result.frame.source_id].frame(result.frame.index)
        self.benchmark.add(result, truth)
        self._done += 1
        self._progress(self._done, self._frames)

    def close(self) -> None: ...


def evaluate_on_scenes(
    engine: Path,
    *,
    runtime: str = "auto",
    precision: str = "auto",
    scenes: int = 3,
    frames: int = 200,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Figures of the whole pipeline, from source to sink, on so many frames of each of so many scenes.

    All scenes run at once, as several files would, with the settings of `streamseg run`; their seeds are
    never trained on. Raises EngineError for an engine that does not know the scene's class,
    Interrupted when a signal ended the run early.
    """
    if CLASS_NAME not in read_info(engine).classes:
        raise EngineError(
            f"{engine}: has no class {CLASS_NAME!r}, which the synthetic scene is made of; use --data"
        )
    specs = [f"synthetic:{FIRST_SEED + k}?frames={frames}" for k in range(scenes)]
    config = load_config(
        None,
        {
            "sources": specs,
            "classes": [CLASS_NAME],
            "engine": {"path": str(engine), "runtime": runtime, "precision": precision},
        },
    )
    made: dict[str, SyntheticScene] = {}
    sink = _SceneSink(made, scenes * frames, progress)
    job = build(config, [sink])
    made.update(
        {source_id: parse_synthetic(spec).scene() for source_id, spec in zip(job.streams, specs, strict=True)}
    )
    began = time.monotonic()
    if code := job.run():
        raise Interrupted("eval: interrupted; no figures, they would be of a part only", code)
    return sink.benchmark.summary() | _record(engine, job.runtime, began)


def write_report(content: Any, path: Path) -> None:
    """Write `content` as JSON, all of it or nothing. Raises SinkError."""
    try:
        write_json(path, content, indent=None)
    except OSError as error:
        raise write_failure(path, error) from error
