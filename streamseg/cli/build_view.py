"""What a build looks like in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamseg.cli.fetching import Shown

if TYPE_CHECKING:
    from streamseg.engine_build import AnyWatcher

__all__ = ["shown_build"]


class _ShownBuild(Shown):
    """Lines on stderr above one bar for what is under way: download, calibration, phase of a build."""

    def progress(self, done_bytes: int, total_bytes: int | None) -> None:
        self._show("downloading", done_bytes, total_bytes)

    def phase(self, name: str, done: int, total: int) -> None:
        self._show(name, done, total)

    def _show(self, name: str, done: int, total: int | None) -> None:
        self._bar.update(self._task, description=name, completed=done, total=total, visible=True)


@contextmanager
def shown_build() -> Iterator[AnyWatcher]:
    """A watcher for the block; its bar appears with the first step, on terminals only."""
    # rich is half of the time that `streamseg --help` would take.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _ShownBuild(bar)
