"""`streamseg data`: look at a data set before training on it, and make the first labels of one."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.options import RUNTIME_HELP, CacheFolder
from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.terminal import say
from streamseg.cli.verbosity import Verbose

__all__ = ["data"]

SHOWN = 20
"""Broken entries that are printed; the rest are counted."""
ON_SHEET = 24

data = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Look over annotated images, or make them."
)


@data.callback()
def group() -> None:
    """Look over annotated images, or make them."""


@data.command()
def check(
    path: Annotated[Path, typer.Argument(help="COCO .json, YOLO data.yaml, or a folder.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images, if elsewhere.")] = None,
    split: Annotated[str, typer.Option(help="Which part, where there are several.")] = "train",
    sheet: Annotated[
        Path | None, typer.Option(help="Write a picture of some images with their outlines.")
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Read every image and annotation; exit code 1 when some cannot be used."""
    from streamseg.datasets import require_dataset_packages

    require_dataset_packages("streamseg data check")
    from streamseg.datasets.check import check_dataset
    from streamseg.datasets.report import describe_dataset, write_sheet

    with shown_on_stderr() as watcher:
        on_image = partial(watcher.progress, "checking")
        report = check_dataset(path, images, split=split, on_image=on_image)
    for line in describe_dataset(report, SHOWN):
        say(line)
    if sheet:
        write_sheet(report, sheet, ON_SHEET)
        say(f"outlines of up to {ON_SHEET} images: {sheet}")
    if report.broken:
        raise typer.Exit(1)


@data.command()
def label(
    folder: Annotated[Path, typer.Argument(help="Folder of images, those in folders within it included.")],
    classes: Annotated[str | None, typer.Option(help="Only these: person,car. Default: all.")] = None,
    engine: Annotated[str, typer.Option(help="Engine file or name (see models, engines).")] = "compact",
    score: Annotated[float, typer.Option(help="Least score; what is less sure is not labelled.")] = 0.3,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: instances.json where DATA is looked for.")
    ] = None,
    runtime: Annotated[str, typer.Option(help=RUNTIME_HELP)] = "auto",
    cache: CacheFolder = None,
    verbose: Verbose = 0,
) -> None:
    """Annotate images with what ENGINE finds, in COCO's format, for a person to correct."""
    from streamseg.datasets import require_dataset_packages
    from streamseg.errors import ConfigError

    require_dataset_packages("streamseg data label")
    from streamseg.jobs.label import label_folder
    from streamseg.jobs.obtain import engine_path

    if not 0 <= score <= 1:
        raise ConfigError(f"--score {score}: expected 0…1")
    names = tuple(name.strip() for name in classes.split(",")) if classes is not None else None
    with shown_on_stderr() as watcher:
        done = label_folder(
            engine_path(engine, cache, watcher),
            folder,
            out,
            names,
            score=score,
            runtime=runtime,
            watcher=watcher,
        )
    for line in done.left_out[:SHOWN]:
        say(f"left out: {line}")
    if len(done.left_out) > SHOWN:
        say(f"and {len(done.left_out) - SHOWN} more images that cannot be used")
    say(f"{done.path}: {done.objects} objects in {done.images} images; {done.empty} images show none")
    say("Nobody has checked them. Look at them, and correct them before training on them:")
    say(f"streamseg data check {shlex.quote(str(done.path))}{done.images_option} --sheet sheet.jpg")
