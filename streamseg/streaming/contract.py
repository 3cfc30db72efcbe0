"""The latency contract: no result older than promised, and what is done to keep it."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamseg.streaming.ladder import Ladder
from streamseg.streaming.meter import SourceMeter
from streamseg.structures import Frame

__all__ = ["LatencyContract"]


class LatencyContract:
    """What becomes of each frame before the engine; for the thread of the engine's stage.

    A frame older than `max_age_s` is dropped, and counted in its source's meter as `too_old`. On the ladder's
    second rung every second frame of each source goes past the engine, its masks moved by the tracker; on the
    last one all do, by another way (`Outrun`), and what comes here is for the tracker alone, however old.
    Frames that never came, as a newer one took their place, are told by the gaps in the indexes.
    """

    def __init__(
        self,
        max_age_s: float,
        meters: Callable[[str], SourceMeter],
        late: Callable[[str], int] = lambda _: 0,
        coasts: bool = True,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Both by the id of the source. `late`: how many of its results were dropped for their age behind the
        engine so far. `coasts`: whether there is a tracker to move masks; without, the ladder is not used."""
        self.ladder = Ladder(max_age_s, lambda: now_ns() / 1e9)
        self._max_age_s = max_age_s
        self._meter_of = meters
        self._late = late
        self.coasts = coasts
        """Whether there is a tracker to move masks."""
        self._now_ns = now_ns
        self._last_index: dict[str, int] = {}
        self._late_before: dict[str, int] = {}
        self._inferred: dict[str, bool] = {}

    def choose(self, frames: list[Frame]) -> tuple[list[Frame], list[Frame]]:
        """Those for the engine, and those that go past it; each list in the order given."""
        to_infer, to_coast = [], []
        asked: set[str] = set()
        for frame in frames:
            source_id = frame.source_id
            outrun = self.coasts and self.ladder.rung == 2
            too_old = not outrun and self._now_ns() - frame.captured_ns > self._max_age_s * 1e9
            self._note(frame, too_old)
            if too_old:
                self._meter_of(source_id).too_old.add()
            elif (
                self.coasts
                and self.ladder.rung == 1
                and self._inferred.get(source_id)
                and source_id not in asked
            ):
                self._inferred[source_id] = False
                to_coast.append(frame)
            else:
                self._inferred[source_id] = True
                asked.add(source_id)
                to_infer.append(frame)
        return to_infer, to_coast

    def forget(self, source_id: str) -> None:
        """Free what was kept of a source that has ended."""
        for kept in (self._last_index, self._late_before, self._inferred):
            kept.pop(source_id, None)

    def _note(self, frame: Frame, too_old: bool) -> None:
        source_id = frame.source_id
        came = frame.index - self._last_index.get(source_id, frame.index - 1)
        self._last_index[source_id] = frame.index
        late = self._late(source_id)
        lost_behind = late - self._late_before.get(source_id, 0)
        self._late_before[source_id] = late
        self.ladder.note(came, came - 1 + too_old + lost_behind)
