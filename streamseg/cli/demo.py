"""`streamseg demo`: the main job on the synthetic scene, scored against its ground truth.

Tested in tests/cli/test_run.py.
"""

from __future__ import annotations

from typing import Annotated

import typer

from streamseg.cli.verbosity import Verbose

__all__ = ["demo"]


def demo(
    source: Annotated[
        str, typer.Argument(help="Any source; only the synthetic scene is scored.")
    ] = "synthetic",
    out: Annotated[str, typer.Option(help="Folder for the video, the data and the summary.")] = "out",
    frames: Annotated[int | None, typer.Option(help="Frames to process; 300 of the scene.")] = None,
    verbose: Verbose = 0,
) -> None:
    """Run the main job and say where its results are."""
    from streamseg.cli.live_view import run_with_live_line
    from streamseg.jobs.demo import prepare

    demonstration = prepare(source, out, frames)
    code = run_with_live_line(demonstration.job)
    for line in demonstration.report():
        typer.echo(line)
    raise typer.Exit(code)
