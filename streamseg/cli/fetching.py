"""What a download or an export on first use looks like in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from streamseg.zoo.watch import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["CacheFolder", "Shown", "shown_on_stderr"]

CacheFolder = Annotated[
    str | None,
    typer.Option(
        "--cache",
        help="Folder for published weights and their engines; default: the user's cache.",
        show_default=False,
    ),
]


class Shown:
    """Lines on stderr, a bar while bytes come."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, visible=False)

    def say(self, text: str) -> None:
        from rich.text import Text

        self._bar.update(self._task, visible=False)
        self._bar.console.print(Text(text), soft_wrap=True)

    def progress(self, done_bytes: int, total_bytes: int | None) -> None:
        self._bar.update(self._task, completed=done_bytes, total=total_bytes, visible=True)


@contextmanager
def shown_on_stderr() -> Iterator[Watcher]:
    """A watcher for the block; its bar appears with the first byte, on terminals only."""
    # rich is half of the time that `streamseg --help` would take.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Shown(bar)
