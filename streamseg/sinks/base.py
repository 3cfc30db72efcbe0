"""What a sink is, and what every sink needs: its canvas, an orderly end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from streamseg.structures import Result

__all__ = [
    "Counts",
    "EndsRuns",
    "MissesNothing",
    "Sink",
    "canvas_of",
    "close_all",
    "counters_of",
    "misses_nothing",
]


class Sink(Protocol):
    """Somewhere results go. Used by one thread, which writes every result in order and then closes it.

    Constructing is cheap and reports, as SinkError or ConfigError, whatever can be known before the
    first frame: a folder that cannot be written, a format that does not exist, a missing display.
    """

    needs_canvas: bool
    """Whether `Result.canvas` has to be drawn for it."""

    def write(self, result: Result) -> None:
        """Put one result out. Raises SinkError, naming the output, which has then been closed already."""

    def close(self) -> None:
        """Finalise what was written; idempotent, and safe after an error. Raises SinkError if it cannot."""


@runtime_checkable
class EndsRuns(Protocol):
    """A sink whose user can end the run: by closing a window."""

    stop_requested: bool
    """Looked at after each write."""


@runtime_checkable
class MissesNothing(Protocol):
    """A sink that gets every result, where others of a live source may lose some: it must be quick, as it
    holds up its source."""

    misses_nothing: bool


@runtime_checkable
class Counts(Protocol):
    """A sink that counts more than its frames."""

    def counters(self) -> dict[str, int]:
        """By name: `refitted`, `skipped`."""


def misses_nothing(sink: Sink) -> bool:
    """Whether it is to get every result."""
    return isinstance(sink, MissesNothing) and sink.misses_nothing


def counters_of(sink: Sink) -> dict[str, int]:
    """What the sink counted besides frames; empty for one that counts nothing."""
    return sink.counters() if isinstance(sink, Counts) else {}


def canvas_of(result: Result) -> NDArray[np.uint8]:
    """The annotated image, (H, W, 3) uint8 BGR, or (H, W, 4) with alpha. Raises ValueError if there is
    none."""
    if result.canvas is None:
        raise ValueError(f"{result!r} has no canvas, and this sink has needs_canvas = True")
    return result.canvas


def close_all(sinks: Iterable[Sink]) -> None:
    """Close every sink, also when some fail; then raise the first failure with the others as notes."""
    failures: list[Exception] = []
    for sink in sinks:
        try:
            sink.close()
        except Exception as error:
            failures.append(error)
    if failures:
        for other in failures[1:]:
            failures[0].add_note(f"also while closing: {other}")
        raise failures[0]
