"""`streamseg certify`: may this engine stand in for that one?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from streamseg.cli.options import PRECISION_HELP, RUNTIME_HELP, CacheFolder
from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.verbosity import Verbose

__all__ = ["certify"]


def option(help_text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_text, **more)


def share(help_text: str) -> Any:
    return option(help_text, min=0, max=1, show_default=False)


def certify(
    candidate: Annotated[str, typer.Argument(help="Engine file or name: what is to be used.")],
    against: Annotated[str, option("Engine file or name: what it was built from.", "--against")],
    footage: Annotated[str, option("A clip, or a folder of images.", "--on", metavar="FOOTAGE")],
    frames: Annotated[int, option("Frames to compare, spread evenly.", min=1)] = 100,
    score: Annotated[float, option("Instances that reach it count.", min=0, max=1)] = 0.3,
    pictures: Annotated[Path | None, option("Folder for the worst frames, side by side.")] = None,
    json: Annotated[Path | None, option("Write the certificate as JSON.")] = None,
    runtime: Annotated[str, option(f"How CANDIDATE runs: {RUNTIME_HELP}")] = "auto",
    precision: Annotated[str, option(f"In what: {PRECISION_HELP}")] = "auto",
    against_runtime: Annotated[str, option("How the reference runs.")] = "auto",
    against_precision: Annotated[str, option("In what; auto: fp32 where the file can be run so.")] = "auto",
    max_missed: Annotated[float | None, share("Share missed or of another class; 0.02.")] = None,
    max_extra: Annotated[float | None, share("Share of additional instances; 0.05.")] = None,
    max_count_change: Annotated[float | None, share("Change of how many reach the score; 0.1.")] = None,
    min_iou: Annotated[float | None, share("Mask IoU that 95 % reach; 0.85.")] = None,
    min_box_iou: Annotated[float | None, share("Box IoU that 95 % reach; 0.85.")] = None,
    max_boundary: Annotated[float | None, share("Mean boundary error / frame diagonal; 0.001.")] = None,
    max_score_shift: Annotated[float | None, share("p95 of the score shift; 0.08.")] = None,
    cache: CacheFolder = None,
    verbose: Verbose = 0,
) -> None:
    """Compare CANDIDATE with a reference on your own footage; exit code 1 unless it passes."""
    from streamseg.certification.certificate import describe, require_passed
    from streamseg.certification.thresholds import thresholds_from
    from streamseg.jobs.certify import certify_engine
    from streamseg.jobs.obtain import engine_path

    limits = thresholds_from(
        max_missed=max_missed,
        max_extra=max_extra,
        max_count_change=max_count_change,
        min_iou_p5=min_iou,
        min_box_iou_p5=min_box_iou,
        max_boundary=max_boundary,
        max_score_shift=max_score_shift,
    )
    with shown_on_stderr() as watcher:
        path, reference = (engine_path(name, cache, watcher) for name in (candidate, against))
        certificate = certify_engine(
            path,
            reference,
            footage,
            frames=frames,
            score=score,
            thresholds=limits,
            runtime=runtime,
            precision=precision,
            against_runtime=against_runtime,
            against_precision=against_precision,
            pictures=pictures,
            json=json,
            on_frame=partial(watcher.progress, "comparing"),
        )
    for line in describe(certificate):
        typer.echo(line)
    require_passed(certificate)
