"""What a pipeline is made of: three small protocols, each testable without threads.
Tested in tests/pipeline/test_pipeline.py.

An object is created, used and closed in one and the same thread, by the pipeline; `close` is called
exactly once for each object that was created. The exception is `SourcePart.interrupt`.

Tested in test_pipeline.py and test_idle.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

__all__ = ["Finishes", "Forgets", "Idles", "SinkPart", "SourcePart", "StagePart", "StopPipeline"]

A = TypeVar("A")
B_co = TypeVar("B_co", covariant=True)


class StopPipeline(Exception):
    """Raised by a part that wishes the pipeline to stop (its window was closed): no failure.

    A sink raises it when it has dealt with its batch, which counts as delivered; a stage after its last
    result. The part goes on getting what is still to be drained and may raise it again.
    """

    def __init__(self, deadline_s: float | None = None) -> None:
        """`deadline_s`: as of `Pipeline.stop`."""
        super().__init__("a part of the pipeline asks it to stop")
        self.deadline_s = deadline_s


class SourcePart(Protocol[B_co]):
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


class StagePart(Protocol[A, B_co]):
    """Turns items into items; may hold some back and may yield more or fewer than it is given."""

    def process(self, items: list[A]) -> Iterable[B_co]:
        """Take one batch, never empty; what is ready comes out, in order."""

    def drain(self) -> Iterable[B_co]:
        """What is still held, when the input has ended normally; not called after an abort."""

    def close(self) -> None:
        """Free everything."""


class SinkPart(Protocol[A]):
    """Where items end."""

    def process(self, items: list[A]) -> None:
        """Take one batch, never empty; delivered once this returns."""

    def close(self) -> None:
        """Finish what was written; also called after an abort or a failure, its own included."""


@runtime_checkable
class Idles(Protocol[B_co]):
    """A stage that holds items back, and would rather hand them over than wait with them."""

    def idle(self) -> Iterable[B_co]:
        """Everything that is held. Called once after a `process` when nothing waits, and before `forget`."""


@runtime_checkable
class Finishes(Protocol):
    """A stage that holds items back, whether or not more are waiting."""

    def finish(self, source: str) -> Iterable[Any]:
        """Hand over what it still holds of the source of this name, whose last item has been processed."""


@runtime_checkable
class Forgets(Protocol):
    """A stage or sink that keeps something for each source."""

    def forget(self, source: str) -> None:
        """Free it: the last item of the source of this name has been processed. More may come if it is
        added again."""
