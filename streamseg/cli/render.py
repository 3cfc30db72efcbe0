"""`streamseg render`: a record drawn on its clip. Tested in tests/jobs/test_render.py."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.terminal import say
from streamseg.cli.verbosity import Verbose

__all__ = ["render"]


def render(
    record: Annotated[Path, typer.Argument(help="What run --record wrote.")],
    clip: Annotated[str, typer.Argument(help="The file that it was made of.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Annotated video, .mp4 or .mkv.")],
    effect: Annotated[
        list[str] | None,
        typer.Option("--effect", help="highlight, blur, cutout …, as of run.", show_default=False),
    ] = None,
    trail: Annotated[
        float | None, typer.Option("--trail", help="Trail behind each object, seconds.", show_default=False)
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option("--rules", help="YAML with zones, lines … to draw.", show_default=False),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Draw a record on its clip again, with any overlay, effect or zone, without an engine."""
    from streamseg.jobs.render import render as work

    began = time.monotonic()
    done = work(record, clip, out, effects=effect or (), trail_seconds=trail, rules=rules)
    speed = done.media_seconds / max(time.monotonic() - began, 1e-9)
    say(f"{done.frames} frames, {speed:.1f} times real time: {out}")
