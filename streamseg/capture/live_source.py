"""Streams behind an address: RTSP, HTTP, HLS, UDP and what else is in `connect.SCHEMES`."""

from __future__ import annotations

import time
from collections.abc import Iterator

from streamseg.addresses import shown
from streamseg.capture.connect import checked_address, is_playlist, open_address
from streamseg.capture.network import Line, peers_of
from streamseg.capture.pacer import Pacer
from streamseg.capture.playlist import NewestSegment, newest_segment
from streamseg.capture.reconnect import Picture, ReconnectingSource
from streamseg.capture.session import Session
from streamseg.capture.source import SourceOptions
from streamseg.capture.utc_clock import UtcClock
from streamseg.errors import SourceError, SourceTimeout
from streamseg.structures import UtcSource

__all__ = ["LiveSource"]


class LiveSource(ReconnectingSource):
    """Frames of a stream as fast as they come, over TCP unless asked otherwise; see ReconnectingSource.

    Nothing is queued here: packets are read as soon as the frame before was taken. What comes in segments
    (HLS) is given out at the pace of its timestamps.
    """

    def __init__(self, url: str, source_id: str, options: SourceOptions | None = None) -> None:
        checked_address(url)
        self._url = url
        self._shown = shown(url)
        self._line: Line | None = None
        self._talking: Session | None = None
        self._damaged_before = 0
        self._packet_clock = UtcClock()
        self._played: str | None = None
        """The newest segment when the last session of a playlist ended."""
        super().__init__(source_id, options or SourceOptions())

    def counters(self) -> dict[str, int]:
        """`damaged`: packets that could not be decoded."""
        talking = self._talking
        return {**super().counters(), "damaged": self._damaged_before + (talking.damaged if talking else 0)}

    def interrupt(self) -> None:
        super().interrupt()
        if self._line:
            self._line.hang_up()

    def _connect(self) -> Iterator[Picture]:
        line = self._line = Line(peers_of(self._url))
        try:
            yield from self._talk(line)
        finally:
            line.close()

    def _talk(self, line: Line) -> Iterator[Picture]:
        newest = self._newest()
        if newest and newest.name == self._played:
            raise SourceTimeout(f"{self._shown}: its playlist has not grown")
        with open_address(self._url, self._options, quick_start=True) as container:
            line.connected()
            session = Session(container, self._shown, self._options, self._packet_clock)
            self._hear(session)
            rate = session.stream.average_rate
            self.fps = float(rate) if rate else self.fps
            # A segment that came meanwhile: with which of the two it begins is not known.
            told_ns = newest.utc_ns if newest and newest == self._newest() else None
            yield from self._pictures(session, container.format.name == "hls", told_ns)

    def _pictures(self, session: Session, of_playlist: bool, begins_ns: int | None) -> Iterator[Picture]:
        """`begins_ns`: UTC of the first, where it is known."""
        pacer = Pacer(lambda: self._interrupted) if of_playlist else None
        try:
            for image, frame in session.pictures():
                if begins_ns is not None and frame.time is not None:
                    session.tell(frame.time, begins_ns)
                    begins_ns = None
                if pacer and frame.time is not None:
                    pacer.wait(frame.time)
                if self._interrupted:
                    return
                stamp = frame.time if session.stamped else time.monotonic()
                told_by: UtcSource = "program-date-time" if of_playlist else "prft"
                yield Picture(image, stamp, session.utc_ns(frame), told_by)
        except SourceError:
            # Begun again, a playlist that has stopped would show its last segment for ever.
            newest = self._newest()
            self._played = newest.name if newest else None
            raise

    def _newest(self) -> NewestSegment | None:
        return newest_segment(self._url, self._options) if is_playlist(self._url) else None

    def _hear(self, session: Session) -> None:
        before, self._talking = self._talking, session
        self._damaged_before += before.damaged if before else 0
