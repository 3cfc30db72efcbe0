"""`streamseg top`: a run that is served, in a terminal. Tested in tests/serving/test_top.py."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from streamseg.cli.terminal import lines_printable
from streamseg.cli.verbosity import Verbose

__all__ = ["top"]

_COLUMNS = ("source", "state", "fps", "age p50 ms", "p99 ms", "delivered", "dropped", "reconnects", "why")


def top(
    address: Annotated[str, typer.Argument(help="http://HOST:PORT of a run with --serve.")],
    token_file: Annotated[str | None, typer.Option("--token-file", help="File with its token.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Print it once, and leave.")] = False,
    verbose: Verbose = 0,
) -> None:
    """Show the sources of a run that is served, once a second."""
    from rich.console import Console
    from rich.live import Live

    from streamseg.jobs.top import read_status, token_of

    token = token_of(token_file)
    console = Console()
    shown = _table(read_status(address, token))
    if once:
        console.print(shown)
        return
    with Live(shown, console=console, auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(_table(read_status(address, token)), refresh=True)


def _table(status: dict[str, Any]) -> Any:
    from rich.table import Table
    from rich.text import Text

    title = f"{status['engine']} on {status['runtime']}, {status['seconds']:.0f} s"
    table = Table(title=Text(lines_printable(title)), box=None, title_justify="left")
    for name in _COLUMNS:
        is_text = name in ("source", "state", "why")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=name != "why")
    for source in status["sources"]:
        age = source["age"]
        values = (
            source["id"],
            source["state"],
            f"{source['fps']:.1f}",
            f"{age['p50_ms']:.0f}",
            f"{age['p99_ms']:.0f}",
            source["delivered"],
            sum(source["dropped"].values()),
            source["reconnects"],
            source["detail"],
        )
        table.add_row(*(Text(lines_printable(str(value))) for value in values))
    return table
