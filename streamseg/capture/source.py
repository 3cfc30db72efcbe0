"""What every source of frames is, and the settings they share. Tested in tests/capture/test_open.py."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from streamseg.encoded import OnPacket
from streamseg.source_state import SourceState
from streamseg.structures import Frame

__all__ = ["Source", "SourceOptions"]


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Settings of `open_source`; each kind of source reads those that concern it."""

    open_timeout_s: float = 5.0
    """Live: a first connection that takes longer is a SourceTimeout."""
    read_timeout_s: float = 5.0
    """Live: no frame for so long means disconnected."""
    stall_s: float = 2.0
    """Live: no frame for so long means stalled; the connection is kept until `read_timeout_s`."""
    transport: Literal["tcp", "udp"] = "tcp"
    """RTSP transport; rtsps:// is TCP under TLS."""
    self_signed: bool = False
    """https, rtsps, rtmps: accept any certificate, also one that nobody vouches for."""
    wait_for_source: bool = False
    """Live: keep trying when the first connection fails, instead of raising."""
    max_backoff_s: float = 10.0
    """Live: the longest pause between two attempts to connect."""
    size_hw: tuple[int, int] | None = None
    """Webcam: height and width to ask for. Synthetic: size of the scene."""
    fps: float | None = None
    """Webcam: rate to ask for. Images and synthetic: nominal rate."""
    on_packet: OnPacket | None = None
    """Streams: is handed each picture as it was encoded, in the thread that reads them."""


class Source(ABC):
    """An iterable of frames, to be passed over once, by one thread.

    Opened by its constructor, which raises SourceError or SourceTimeout. Iteration ends at the end
    of the source or after `interrupt`; what breaks on the way is raised from it. `close` is for the
    thread that iterates (or for any, once the iteration has ended); `interrupt` may be called from
    every thread at any time.
    """

    size_hw: tuple[int, int] | None = None
    """Height and width of the frames in pixels, when known; may change while a live source runs."""
    fps: float | None = None
    """Nominal frames per second, when known."""
    frame_count: int | None = None
    """An estimate of the number of frames, when known."""
    repaired_pts: int = 0
    """Frames whose media time was missing or did not increase, and was made up."""

    def __init__(self, source_id: str, live: bool) -> None:
        self.source_id = source_id
        self.live = live
        self._interrupted = False
        self._opened_ns = time.monotonic_ns()

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames from here on."""

    def chosen(self, indexes: Collection[int]) -> Iterator[Frame]:
        """Those with these indexes of the frames from here on; what is between them may be skipped."""
        last = max(indexes, default=-1)
        for frame in self:
            if frame.index in indexes:
                yield frame
            if frame.index >= last:
                return

    def counters(self) -> dict[str, int]:
        """What went on besides frames, by name, for the summary: only numbers that never fall."""
        return {"repaired_pts": self.repaired_pts}

    @property
    def state(self) -> SourceState:
        """How it is doing now, from any thread. What is not live delivers from its opening on; that the
        iteration has ended is for its owner to know."""
        return SourceState("live", since_ns=self._opened_ns)

    def interrupt(self) -> None:
        """Make the iteration end soon, also when it is waiting for a frame. Thread-safe, idempotent."""
        self._interrupted = True

    @abstractmethod
    def close(self) -> None:
        """Release what the source holds. Idempotent."""

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
