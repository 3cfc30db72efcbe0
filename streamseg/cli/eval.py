"""`streamseg eval`: how good an engine is, in numbers that others get too."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from streamseg.cli.options import PRECISION_HELP, RUNTIME_HELP, CacheFolder
from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.verbosity import Verbose
from streamseg.errors import ConfigError

__all__ = ["evaluate"]


def option(help_text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_text, show_default=False, **more)


def evaluate(
    engine: Annotated[str, typer.Argument(help="Engine file or name (see models, engines).")],
    data: Annotated[Path | None, option("COCO .json, YOLO data.yaml, or a folder.")] = None,
    images: Annotated[Path | None, option("Folder of the images, if elsewhere.")] = None,
    split: Annotated[str, option("Which part of DATA, where there are several.")] = "val",
    synthetic: Annotated[
        bool, option("Score the whole pipeline on synthetic scenes.", "--synthetic")
    ] = False,
    against: Annotated[str | None, option("Another engine: paired difference of mask AP.")] = None,
    semantic: Annotated[Path | None, option("Semantic maps: folder with truth/ and found/.")] = None,
    json: Annotated[Path | None, option("Write all figures as JSON; AP 0…1.")] = None,
    detections: Annotated[Path | None, option("Write what was found as COCO results.")] = None,
    pictures: Annotated[Path | None, option("Folder for worst.jpg.")] = None,
    runtime: Annotated[str, option(RUNTIME_HELP)] = "auto",
    precision: Annotated[str, option(PRECISION_HELP)] = "auto",
    cache: CacheFolder = None,
    verbose: Verbose = 0,
) -> None:
    """Measure ENGINE on annotated images, through the code that live video uses."""
    from streamseg.evaluation import require_packages

    of_data = (images, against, semantic, detections, pictures)
    if synthetic == (data is not None) or (synthetic and any(value is not None for value in of_data)):
        raise ConfigError("eval: either --data FILE with its options, or --synthetic, with neither of them")
    require_packages()
    from streamseg.cli.eval_table import print_data, print_scenes
    from streamseg.files import check_file_writable
    from streamseg.jobs.evaluate import evaluate_on_data, evaluate_on_scenes, write_report
    from streamseg.jobs.obtain import engine_path

    if json:
        check_file_writable(json)
    with shown_on_stderr() as watcher:
        path = engine_path(engine, cache, watcher)
        other = engine_path(against, cache, watcher) if against else None
        progress = partial(watcher.progress, "measuring")
        if data is None:
            figures = evaluate_on_scenes(path, runtime=runtime, precision=precision, progress=progress)
        else:
            figures = evaluate_on_data(
                path,
                data,
                images=images,
                split=split,
                runtime=runtime,
                precision=precision,
                against=other,
                semantic=semantic,
                detections=detections,
                pictures=pictures,
                progress=progress,
            )
    if json:
        write_report(figures, json)
    (print_scenes if data is None else print_data)(figures)
