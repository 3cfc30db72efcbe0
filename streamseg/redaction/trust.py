"""Whether what the engine says of a frame can be relied on; where it cannot, the whole frame is filled."""

from __future__ import annotations

from collections import deque
from statistics import median

from streamseg.redaction.release import Unreleased
from streamseg.redaction.scene_change import SceneChange

__all__ = ["FRESH_RESULTS", "Trust"]

FRESH_RESULTS = 3
"""Sound results in a row, of which the last is shown again."""
_LATE_SECONDS, _LATE_STEPS = 0.5, 4.0
"""Without a result of the engine's, in seconds and in usual steps between two: the longer counts."""
_MANY = 3
"""Objects that do not vanish all at once."""
_SILENT_SECONDS = 0.25
"""After which also fewer do not: nothing at all is found, of any class, though they did not leave the
picture."""


class Trust:
    """Of one source, asked for each of its frames in order."""

    def __init__(self) -> None:
        self._change = SceneChange()
        self._steps: deque[float] = deque(maxlen=30)
        self._before: Unreleased | None = None
        self._fresh_t: float | None = None
        self._needed = FRESH_RESULTS
        self._why = "start"
        self._emptied = False
        self._silent: tuple[float, int, int] | None = None
        self.silent_since: float | None = None
        """Media time from which on frames are to be filled after all, as nothing was found in any of them."""
        self.new_scene = False
        """Whether the last frame asked about does not go on from the one before it."""

    def filled(self, item: Unreleased, there: tuple[int, int]) -> str | None:
        """Why the frame is to be filled; None: it need not be. `there`: objects that were just now, and those
        of them that were not about to leave."""
        reason = self._broken(item)
        self.new_scene = reason is not None
        reason = reason or self._unsound(item, (0, 0) if self.new_scene else there)
        if not item.result.coasted:
            self._note_step(item.result.frame.pts_seconds)
        self._before = item
        if reason:
            self._needed, self._why = FRESH_RESULTS, reason
        if not item.result.coasted and not item.refused and not self._emptied and self._needed:
            self._needed -= 1
        return self._why if self._needed or reason else None

    def _broken(self, item: Unreleased) -> str | None:
        """Why this frame does not go on from the one before it."""
        changed = self._change.happened(item.result.frame.image)
        if self._before is None:
            return None
        frame, before = item.result.frame, self._before.result.frame
        if frame.size_hw != before.size_hw:
            return "size changed"
        if frame.session != before.session:
            return "reconnected"
        if frame.pts_seconds <= before.pts_seconds:
            return "time went back"
        if self._fresh_t is not None and frame.pts_seconds - self._fresh_t > self._most_wait():
            return "engine late"
        return {"cut": "scene changed", "moved": "camera moved"}.get(changed or "")

    def _unsound(self, item: Unreleased, there: tuple[int, int]) -> str | None:
        if item.refused:
            return "engine gave nonsense"
        if item.result.coasted:
            return None
        if len(item.found):
            self._emptied, self._silent, self.silent_since = False, None, None
            return None
        t = item.result.frame.pts_seconds
        self._silent = self._silent or (t, *there)
        since, many, staying = self._silent
        # Until something is found again: an engine that has died says nothing for ever.
        self._emptied |= many >= _MANY or (staying > 0 and t - since >= _SILENT_SECONDS)
        self.silent_since = since if self._emptied else None
        return "all vanished" if self._emptied else None

    def _most_wait(self) -> float:
        usual = median(self._steps) if self._steps else 0.0
        return max(_LATE_SECONDS, _LATE_STEPS * usual)

    def _note_step(self, t: float) -> None:
        if self._fresh_t is not None and t > self._fresh_t:
            self._steps.append(t - self._fresh_t)
        self._fresh_t = t
