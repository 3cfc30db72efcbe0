"""What parts of a pipeline have raised: the first, which the caller gets, and the latest.

Tested in test_isolation.py.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from dataclasses import dataclass

__all__ = ["FAILURES_KEPT", "Failure", "FailureLog"]

FAILURES_KEPT = 100
"""The first and the latest: a camera that is added and breaks every minute must not fill memory."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a part of the pipeline raised."""

    part: str
    """Kind and name: `source 'cam1'`."""
    phase: str
    """`opening`, `running`, `interrupting` or `closing`."""
    error: BaseException
    trace: str
    """Its traceback as text: the error of a part that has been removed has no other."""

    @classmethod
    def of(cls, part: object, phase: str, error: BaseException) -> Failure:
        return cls(str(part), phase, error, "".join(traceback.format_exception(error)))

    def __str__(self) -> str:
        return f"{self.part}, {self.phase}: {type(self.error).__name__}: {self.error}"


class FailureLog:
    """Bounded; the first failure carries the others as notes to the caller."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._first: Failure | None = None
        self._later: deque[Failure] = deque(maxlen=FAILURES_KEPT - 1)

    def record(self, failure: Failure) -> None:
        """Keep it."""
        with self._lock:
            self.count += 1
            if self._first is None:
                self._first = failure
                failure.error.add_note(f"raised in {failure.part}, {failure.phase}")
                return
            self._later.append(failure)
            if self.count <= FAILURES_KEPT:
                self._first.error.add_note(f"then also in {failure}")

    def all(self) -> tuple[Failure, ...]:
        """Those that are kept, in order."""
        with self._lock:
            return () if self._first is None else (self._first, *self._later)

    def free_memory_of(self, part: str) -> None:
        """Free what the functions of `part` held when they raised."""
        for failure in self.all():
            if failure.part == part:
                _drop_tracebacks(failure.error)


def _drop_tracebacks(error: BaseException | None) -> None:
    # Clearing their frames is not enough: a frame keeps its callers, which are the pipeline's own.
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
