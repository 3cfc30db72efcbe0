"""What a pipeline is made of: three small protocols, each testable without threads.

An object is created, used and closed in one and the same thread, by the pipeline; `close` is called
exactly once for each object that was created. The exception is `Source.interrupt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["Sink", "Source", "Stage"]

A = TypeVar("A")
B_co = TypeVar("B_co", covariant=True)


class Source(Protocol[B_co]):
    """Where items come from."""

    def __iter__(self) -> Iterator[B_co]:
        """The items. Ends when there are no more; raises when the source breaks."""

    def interrupt(self) -> None:
        """Make a read that blocks, and every later one, end the iteration soon.

        Called from other threads, at any time, also twice and also after `close`; must not block.
        Ending by an exception counts as a failure of the source.
        """

    def close(self) -> None:
        """Free everything."""


class Stage(Protocol[A, B_co]):
    """Turns items into items; may hold some back and may yield more or fewer than it is given."""

    def process(self, items: list[A]) -> Iterable[B_co]:
        """Take one batch, never empty; what is ready comes out, in order."""

    def drain(self) -> Iterable[B_co]:
        """What is still held, when the input has ended normally; not called after an abort."""

    def close(self) -> None:
        """Free everything."""


class Sink(Protocol[A]):
    """Where items end."""

    def process(self, items: list[A]) -> None:
        """Take one batch, never empty; delivered once this returns."""

    def close(self) -> None:
        """Finish what was written; also called after an abort or a failure, its own included."""
