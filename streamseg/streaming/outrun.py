"""Frames that are shown while the engine still works on an earlier one.

Tested in tests/streaming/test_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable

from streamseg.streaming.contract import LatencyContract
from streamseg.streaming.ladder import Ladder
from streamseg.streaming.meter import SourceMeter
from streamseg.structures import Frame

__all__ = ["Outrun"]


class Outrun:
    """Decides, for the tracker's thread, which way a frame goes on: moved by its tracks as soon as it comes,
    or with what the engine found. Each frame goes on at most once, in order.

    On the ladder's last rung the tracker's thread gets every frame from its source, and what the engine finds
    comes later, for a frame that has gone on: the tracker learns from it, and the next frames are better.
    """

    def __init__(self, ladder: Ladder, meters: Callable[[str], SourceMeter]) -> None:
        """`meters` by the id of the source."""
        self._ladder = ladder
        self._meter_of = meters
        self._newest: dict[str, int] = {}

    @classmethod
    def of(cls, contract: LatencyContract | None, meters: Callable[[str], SourceMeter]) -> Outrun | None:
        """Where ages are promised and there is a tracker; None elsewhere."""
        return cls(contract.ladder, meters) if contract and contract.coasts else None

    def takes(self, frame: Frame) -> bool:
        """Whether a frame that comes past the engine is to go on now."""
        if self._ladder.rung < 2 or not self._is_new(frame):
            return False
        self._meter_of(frame.source_id).outrun.add()
        return True

    def is_late(self, frame: Frame) -> bool:
        """Whether one that comes from the engine's stage has been gone past."""
        if self._is_new(frame):
            return False
        meter = self._meter_of(frame.source_id)
        meter.overtaken.add()
        meter.last_ns = frame.captured_ns  # what is only moved on is no sign that the engine lives
        return True

    def _is_new(self, frame: Frame) -> bool:
        if frame.index <= self._newest.get(frame.source_id, -1):
            return False
        self._newest[frame.source_id] = frame.index
        return True

    def forget(self, source_id: str) -> None:
        """Free what was kept of a source that has ended."""
        self._newest.pop(source_id, None)
