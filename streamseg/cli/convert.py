"""`streamseg convert`: the data of a run in other tools' formats. Tested in tests/jobs/test_convert.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.terminal import say
from streamseg.cli.verbosity import Verbose
from streamseg.errors import ConfigError, did_you_mean

__all__ = ["convert"]


def convert(
    data: Annotated[Path, typer.Argument(help="What run --jsonl or --record wrote.")],
    to: Annotated[str, typer.Option("--to", help="mot, mots, coco, ytvis, cvat or labelme.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="File; of labelme a folder.")],
    source: Annotated[str | None, typer.Option(help="Which source, where there are several.")] = None,
    categories: Annotated[
        Path | None, typer.Option(help="COCO file whose category ids are used (coco, ytvis).")
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Write the data of a run in another tool's format."""
    from streamseg.jobs.convert import FORMATS
    from streamseg.jobs.convert import convert as work

    known = {name: name for name in FORMATS}
    if to not in known:
        listing = ", ".join(known)
        raise ConfigError(f"--to {to}: no such format {did_you_mean(to, known)}; there are {listing}")
    count = work(data, known[to], out, source=source, categories=categories)
    say(f"{count} frames: {out}")
