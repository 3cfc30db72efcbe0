"""Streams behind an address: RTSP, HTTP, HLS, UDP and what else is in `connect.SCHEMES`."""

from __future__ import annotations

import time
from collections.abc import Iterator

from streamseg.addresses import shown
from streamseg.capture.connect import checked_address, is_playlist, open_address
from streamseg.capture.network import Line, peers_of
from streamseg.capture.pacer import Pacer
from streamseg.capture.playlist import newest_segment
from streamseg.capture.reconnect import Picture, ReconnectingSource
from streamseg.capture.session import Session
from streamseg.capture.source import SourceOptions

__all__ = ["LiveSource"]

# Motion JPEG carries no timestamps; FFmpeg makes them up at 25 frames per second.
_UNSTAMPED = frozenset({"jpeg_pipe", "mjpeg", "mpjpeg"})


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
        dated = newest_segment(self._url, self._options) if is_playlist(self._url) else None
        with open_address(self._url, self._options, quick_start=True) as container:
            line.connected()
            if dated != (newest_segment(self._url, self._options) if dated else None):
                dated = None  # which of the two the session began with is not known
            session = Session(container, self._shown, self._options)
            self._hear(session)
            rate = session.stream.average_rate
            self.fps = float(rate) if rate else self.fps
            stamped = container.format.name not in _UNSTAMPED
            pacer = Pacer(lambda: self._interrupted) if container.format.name == "hls" else None
            for image, frame in session.pictures():
                if dated and frame.time is not None:
                    session.tell(frame.time, dated.utc_ns)
                    dated = None
                if pacer and frame.time is not None:
                    pacer.wait(frame.time)
                if self._interrupted:
                    return
                told_ns = session.utc_ns(frame)
                stamp = frame.time if stamped else time.monotonic()
                yield Picture(image, stamp, told_ns, "program-date-time" if pacer else "prft")

    def _hear(self, session: Session) -> None:
        before, self._talking = self._talking, session
        self._damaged_before += before.damaged if before else 0
