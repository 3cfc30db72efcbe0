"""One connection to a stream: its packets read and decoded, and how it ends.

Tested in tests/capture/test_streams.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import NoReturn

import av
import av.error
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from streamseg.capture.connect import failure_kind
from streamseg.capture.decode import BgrConverter, described, nameless, reason, video_stream
from streamseg.capture.packet_feed import PacketFeed
from streamseg.capture.source import SourceOptions
from streamseg.capture.utc_clock import UtcClock
from streamseg.errors import SourceError, SourceTimeout

__all__ = ["Session"]

# Motion JPEG carries no timestamps; FFmpeg makes them up at 25 frames per second.
_UNSTAMPED = frozenset({"jpeg_pipe", "mjpeg", "mpjpeg"})
_KEY_FRAME_SECONDS = 30.0
"""How long the first key frame may take while packets come: cameras that save bits send one every 10 or 20 s,
an encoder with intra refresh none at all."""


class Session:
    """Pictures of an open container, decoded or only handed on, from a key frame on.

    Ends by SourceError: the connection broke, the stream ended, nothing that comes can be decoded (another
    codec within the stream looks so), or no frame was decoded for `read_timeout_s`, whatever else arrived.
    """

    def __init__(
        self, container: InputContainer, name: str, options: SourceOptions, packet_clock: UtcClock
    ) -> None:
        """`packet_clock`: one for all sessions of a source, for `options.on_packet`."""
        self.damaged = 0
        """Packets and pictures that could not be decoded."""
        self.stamped = container.format.name not in _UNSTAMPED
        """Whether its timestamps are the sender's."""
        self.stream = video_stream(container, name)
        # Slices: 36 ms from camera to picture; frame threads hold a frame per thread (103 ms).
        self.stream.thread_type = "SLICE"
        # Of all streams: asked for one, PyAV reads past the sound of a camera whose picture froze, for ever.
        self._packets = container.demux()
        self._name = name
        self._options = options
        self._feed = (
            PacketFeed(self.stream, name, options.on_packet, packet_clock) if options.on_packet else None
        )
        self._convert = BgrConverter()
        self._damage = ""
        self._opened_s = self._fresh_s = time.monotonic()
        self._started = False
        self._utc_minus_stamp_ns: int | None = None

    def pictures(self) -> Iterator[tuple[NDArray[np.uint8], av.VideoFrame]]:
        """(H, W, 3) uint8 BGR and what it was made of; its size may change. Raises SourceError."""
        while True:
            asked = time.monotonic()
            packet = self._read()
            waited = time.monotonic() - asked
            for frame in self._decoded(packet):
                image = self._converted(frame)
                if image is not None:
                    self._damage = ""
                    yield image, frame
                    self._fresh_s = time.monotonic()
            # At a timeout FFmpeg first hands out the frame that its parser was holding back, and only
            # the next read fails: without looking at the wait, frozen sources took twice as long to notice.
            silent_s = time.monotonic() - self._fresh_s
            if waited >= self._options.read_timeout_s or silent_s > self._patience_s:
                raise self._no_frame()

    def hand_on(self) -> NoReturn:
        """Give the packets to `options.on_packet` and decode nothing. Raises SourceError at the end."""
        while True:
            packet = self._read()
            if self._is_wanted(packet):
                self._fresh_s = time.monotonic()
            elif time.monotonic() - self._fresh_s > self._options.read_timeout_s:
                raise self._no_frame()

    @property
    def _patience_s(self) -> float:
        """Without a frame. Less where packets come: a new session has the headers of another codec."""
        asked = self._options
        return min(asked.read_timeout_s, asked.stall_s) if self._damage else asked.read_timeout_s

    def _read(self) -> av.Packet[av.stream.Stream]:
        try:
            return next(self._packets)
        except StopIteration:
            raise SourceError(f"{self._name}: the stream ended", "end_of_stream") from None
        except (av.error.ExitError, av.error.TimeoutError) as error:
            raise self._no_frame() from nameless(error)
        except av.error.FFmpegError as error:
            said = f"{self._name}: connection lost ({reason(error)})"
            raise SourceError(said, failure_kind(error)[0]) from nameless(error)

    def _no_frame(self) -> SourceError:
        said = f"{self._name}: no frame for {self._patience_s:g} s"
        if self._damage:
            damage = f"they cannot be decoded ({self._damage})"
            return SourceError(f"{said} though packets came: {damage}", "codec")
        return SourceTimeout(said)

    def _decoded(self, packet: av.Packet[av.stream.Stream]) -> list[av.VideoFrame]:
        """Nothing for sound, before the first key frame, and for a damaged packet: on a network that is
        normal, the next key frame repairs it."""
        if not self._is_wanted(packet):
            return []
        try:
            return self.stream.codec_context.decode(packet)
        except av.error.FFmpegError as error:
            self._note(error)
            return []

    def _is_wanted(self, packet: av.Packet[av.stream.Stream]) -> bool:
        """A picture, from the first key frame on; it has then been handed on."""
        if packet.stream is not self.stream or not self._has_started(packet):
            return False
        self._note_report(packet)
        if self._feed:
            stamp = None if packet.pts is None or packet.time_base is None else packet.pts * packet.time_base
            self._feed.take(packet, self._told_ns(stamp), stamped=self.stamped)
        return True

    def utc_ns(self, frame: av.VideoFrame) -> int | None:
        """When it was captured, by the sender's clock: nanoseconds since 1970; None before the sender has
        told, which cameras do every few seconds (RTCP sender reports)."""
        return self._told_ns(frame.time)

    def _told_ns(self, stamp_s: float | Fraction | None) -> int | None:
        if self._utc_minus_stamp_ns is None or stamp_s is None:
            return None
        return self._utc_minus_stamp_ns + round(stamp_s * 1_000_000_000)

    def tell(self, stamp_s: float, utc_ns: int) -> None:
        """What has this timestamp was captured then: somebody else knows."""
        self._utc_minus_stamp_ns = utc_ns - round(stamp_s * 1e9)

    def _note_report(self, packet: av.Packet[av.stream.Stream]) -> None:
        if packet.pts is None or packet.time_base is None or not packet.has_sidedata("prft"):
            return
        # AVProducerReferenceTime: microseconds since 1970, and flags.
        wall_us = int.from_bytes(bytes(packet.get_sidedata("prft"))[:8], sys.byteorder, signed=True)
        self._utc_minus_stamp_ns = wall_us * 1000 - round(packet.pts * packet.time_base * 1_000_000_000)

    def _has_started(self, packet: av.Packet[av.stream.Stream]) -> bool:
        if not self._started:
            self._fresh_s = time.monotonic()
            self._started = packet.is_keyframe or self._fresh_s - self._opened_s > _KEY_FRAME_SECONDS
        return self._started

    def _converted(self, frame: av.VideoFrame) -> NDArray[np.uint8] | None:
        try:
            return self._convert(frame)
        except (av.error.FFmpegError, ValueError) as error:
            self._note(error)
            return None

    def _note(self, error: Exception) -> None:
        self.damaged += 1
        self._damage = f"{reason(error)}, codec {described(self.stream)}"
