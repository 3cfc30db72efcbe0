"""`streamseg zones`: draw zones and lines with the mouse. Tested in tests/jobs/test_zones.py."""

from __future__ import annotations

from typing import Annotated

import typer

from streamseg.cli.terminal import say
from streamseg.cli.verbosity import Verbose

__all__ = ["zones"]


def zones(
    source: Annotated[str, typer.Argument(help="The source to draw on; its first picture is shown.")],
    out: Annotated[str, typer.Option("-o", "--output", help="YAML file to write.")] = "zones.yaml",
    verbose: Verbose = 0,
) -> None:
    """Draw zones and lines with the mouse; writes a configuration for run."""
    from streamseg.jobs.zones import draw_zones

    if draw_zones(source, out):
        say(f"wrote {out}; streamseg run {source} --config {out} --events events.jsonl")
    else:
        say("nothing was saved")
