"""`streamseg query`: events of a record. Tested in tests/jobs/test_query.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamseg.cli.terminal import say
from streamseg.cli.verbosity import Verbose

__all__ = ["query"]


def query(
    record: Annotated[Path, typer.Argument(help="What run --record wrote.")],
    rules: Annotated[Path, typer.Option("--rules", help="YAML with zones, lines … under events.")],
    events: Annotated[str, typer.Option("--events", help="Events as JSON Lines; - is stdout.")] = "-",
    verbose: Verbose = 0,
) -> None:
    """Ask a record what happened: the events of any rules, without an engine."""
    from streamseg.jobs.query import query as work

    count = work(record, rules, events)
    if events != "-":
        say(f"{count} events: {events}")
