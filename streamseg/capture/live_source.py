"""Streams behind an address: RTSP, HTTP and whatever else FFmpeg speaks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import av
import av.error
from av.container import InputContainer

from streamseg.addresses import shown
from streamseg.capture.decode import BgrConverter, described, nameless, reason, video_stream
from streamseg.capture.network import Line, open_address, peers_of
from streamseg.capture.reconnect import Picture, ReconnectingSource
from streamseg.capture.source import SourceOptions
from streamseg.errors import SourceError, SourceTimeout

__all__ = ["LiveSource"]

# Motion JPEG carries no timestamps; FFmpeg makes them up at 25 frames per second.
_UNSTAMPED = frozenset({"jpeg_pipe", "mjpeg", "mpjpeg"})


class LiveSource(ReconnectingSource):
    """Frames of a stream as fast as they come, over TCP unless asked otherwise; see ReconnectingSource.

    Disconnected means: the connection broke, the stream ended, or no frame was decoded for
    `read_timeout_s`, whatever else arrived. Nothing is queued here: packets are read as soon as the
    frame before was taken.
    """

    def __init__(self, url: str, source_id: str, options: SourceOptions | None = None) -> None:
        self._url = url
        self._shown = shown(url)
        self._line: Line | None = None
        self.damaged = 0
        """Packets that could not be decoded."""
        self._damage = ""
        super().__init__(source_id, options or SourceOptions())

    def counters(self) -> dict[str, int]:
        return {**super().counters(), "damaged": self.damaged}

    def _undecoded(self) -> str:
        """Why packets came and no frame, where that is so in this session."""
        return f" though packets came: they cannot be decoded ({self._damage})" if self._damage else ""

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
        with open_address(self._url, self._options, quick_start=True) as container:
            line.connected()
            stream = video_stream(container, self._shown)
            # Slices: 36 ms from camera to picture; frame threads hold a frame per thread (103 ms).
            stream.thread_type = "SLICE"
            self.fps = float(stream.average_rate) if stream.average_rate else self.fps
            convert = BgrConverter()
            stamped = container.format.name not in _UNSTAMPED
            for picture in self._pictures_of(container, stream):
                yield convert(picture), picture.time if stamped else time.monotonic()

    def _pictures_of(self, container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        allowed = self._options.read_timeout_s
        packets = container.demux(stream)
        fresh = time.monotonic()
        while not self._interrupted:
            began = time.monotonic()
            packet = self._read(packets)
            waited = time.monotonic() - began
            for picture in self._decoded(stream, packet):
                self._damage = ""
                yield picture
                fresh = time.monotonic()
            # At a timeout FFmpeg first hands out the frame that its parser was holding back, and only
            # the next read fails: without looking at the wait, frozen sources took twice as long to notice.
            if waited >= allowed or time.monotonic() - fresh > allowed:
                raise SourceTimeout(f"{self._shown}: no frame for {allowed:g} s{self._undecoded()}")

    def _read(self, packets: Iterator[av.Packet[av.VideoStream]]) -> av.Packet[av.VideoStream]:
        try:
            return next(packets)
        except StopIteration:
            raise SourceError(f"{self._shown}: the stream ended") from None
        except (av.error.ExitError, av.error.TimeoutError) as error:
            allowed = self._options.read_timeout_s
            said = f"{self._shown}: no frame for {allowed:g} s{self._undecoded()}"
            raise SourceTimeout(said) from nameless(error)
        except av.error.FFmpegError as error:
            raise SourceError(f"{self._shown}: connection lost ({reason(error)})") from nameless(error)

    def _decoded(self, stream: av.VideoStream, packet: av.Packet[av.VideoStream]) -> list[av.VideoFrame]:
        """Nothing for a damaged packet: on a network that is normal, the next key frame repairs it."""
        try:
            return stream.codec_context.decode(packet)
        except av.error.FFmpegError as error:
            self.damaged += 1
            self._damage = f"{reason(error)}, codec {described(stream)}"
            return []
