"""`streamseg engines`: what can be used, and from where. Tested in tests/cli/test_run.py."""

from __future__ import annotations

from typing import Annotated

import typer

from streamseg.cli.verbosity import Verbose

__all__ = ["engines"]


def engines(
    folder: Annotated[str, typer.Argument(help="Folder with exported engines.")] = "engines",
    verbose: Verbose = 0,
) -> None:
    """List the bundled engines and those in a folder, with their classes and measured mask AP."""
    from streamseg.jobs.engines import describe_engines

    for line in describe_engines(folder):
        typer.echo(line)
