"""What a training run looks like in the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from streamseg.train import TrainWatcher

__all__ = ["train_progress"]


class _Shown:
    """Lines on stderr, a bar with the losses below them."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=1.0, text="")

    def say(self, text: str) -> None:
        from rich.text import Text

        self._bar.console.print(Text(text), soft_wrap=True)

    def progress(self, share: float, text: str) -> None:
        self._bar.update(self._task, completed=min(share, 1.0), text=text)


@contextmanager
def train_progress() -> Iterator[TrainWatcher]:
    """A watcher for the block; its bar is shown on terminals only."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        BarColumn(24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    # Of the processes that torchrun starts the first one draws.
    shown = console.is_terminal and os.environ.get("RANK", "0") == "0"
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        yield _Shown(bar)
