"""What long work looks like in the terminal: lines on stderr above one bar.

Tested in tests/cli/test_train.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamseg.progress import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["shown_on_stderr"]


class _Shown:
    """Lines stay, the bar shows what was told last."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, visible=False)

    def say(self, text: str) -> None:
        from rich.text import Text

        self._bar.console.print(Text(text), soft_wrap=True)

    def progress(self, what: str, done: float, total: float | None) -> None:
        self._bar.update(self._task, description=what, completed=done, total=total, visible=True)


@contextmanager
def shown_on_stderr(*, bar: bool = True) -> Iterator[Watcher]:
    """A watcher for the block; its bar appears with the first progress, on terminals only."""
    # rich is half of the time that `streamseg --help` would take.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not (bar and console.is_terminal)
    ) as shown:
        yield _Shown(shown)
