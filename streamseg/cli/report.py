"""`streamseg report`: a record for people. Tested in tests/jobs/test_report.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.terminal import say
from streamseg.cli.verbosity import Verbose

__all__ = ["report"]


def report(
    record: Annotated[Path, typer.Argument(help="What run --record wrote.")],
    clips: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLIP]...", help="Files it was made of, for pictures.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--output", help="HTML file.")] = Path("report.html"),
    verbose: Verbose = 0,
) -> None:
    """Sum up a record in one HTML file: counts over time, heat map, dwell, pictures."""
    from streamseg.jobs.report import report as work

    count = work(record, out, clips or ())
    say(f"{count} source{'s' if count > 1 else ''}: {out}")
