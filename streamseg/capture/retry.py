"""When a live source that was lost is tried again: by the cause, with back-off and jitter, for ever."""

from __future__ import annotations

import random
from dataclasses import dataclass

from streamseg.source_state import SourceReason

__all__ = ["Backoff"]

_FIRST_SECONDS = 0.25
_LASTING_SECONDS = 1.0
_PATIENT_SECONDS = 30.0
_MOST_PATIENT_SECONDS = 600.0
_PATIENT: frozenset[SourceReason] = frozenset({"auth", "certificate"})
"""No try helps before somebody has changed something, and cameras lock accounts that are tried too often."""


@dataclass(slots=True)
class Backoff:
    """The pauses of one source.

    They double from 0.25 s up to `max_s`, each shortened by up to a half at random, so that many cameras
    behind one switch do not come back in step. After a refused password or certificate they double from
    30 s up to ten minutes, and are lengthened instead: never sooner than 30 s.
    """

    max_s: float
    _tries: int = 0
    _pause_s: float = 0.0

    def pause_s(self, reason: SourceReason | None) -> float:
        """How long to wait now that an attempt has failed, or a session was lost, for `reason`."""
        doublings = min(self._tries, 20)
        self._tries += 1
        if reason in _PATIENT:
            longest = max(self.max_s, _MOST_PATIENT_SECONDS)
            self._pause_s = min(_PATIENT_SECONDS * 2**doublings, longest) * random.uniform(1.0, 1.5)
        else:
            self._pause_s = min(_FIRST_SECONDS * 2**doublings, self.max_s) * random.uniform(0.5, 1.0)
        return self._pause_s

    def lived(self, seconds: float) -> None:
        """A session that lasted so long has ended. One of less than a second, and no longer than the pause
        before it, counts as a failed attempt: a server that drops everybody at once is not hammered."""
        if seconds > min(self._pause_s, _LASTING_SECONDS):
            self._tries = 0
