"""A bar that counts frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["frame_progress"]


@contextmanager
def frame_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function to be told how many frames are done, and of how many; a bar on stderr, on terminals only."""
    # rich is half of the time that `streamseg --help` would take.
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
