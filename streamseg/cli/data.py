"""`streamseg data`: look at a data set before training on it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.verbosity import Verbose

__all__ = ["data"]

SHOWN = 20
"""Broken entries that are printed; the rest are counted."""
ON_SHEET = 24

data = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Look over annotated images.")


@data.callback()
def group() -> None:
    """Look over annotated images."""


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
        typer.echo(line)
    if sheet:
        write_sheet(report, sheet, ON_SHEET)
        typer.echo(f"outlines of up to {ON_SHEET} images: {sheet}")
    if report.broken:
        raise typer.Exit(1)
