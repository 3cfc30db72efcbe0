"""One mp4 of packets as the camera sent them; nothing is encoded. Tested in tests/sinks/test_recorder.py."""

from __future__ import annotations

import io
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import OutputContainer

from streamseg.encoded import EncodedPacket
from streamseg.files import write_failure
from streamseg.sinks.fragments import cut_to_whole_fragments

__all__ = ["PacketFile"]

_TICK = Fraction(1, 90_000)
# A kill costs a tenth of a second.
_OPTIONS = {"movflags": "hybrid_fragmented", "flush_packets": "1", "frag_duration": "100000"}
_JUMP_SECONDS = 10.0
_FIRST_BYTES = 65536
_OF_APPLE = "hvc1"
"""Players of Apple know H.265 by this tag only."""


class PacketFile:
    """Begins with a key picture, at time 0. Whole fragments are playable while it grows and after a kill; a
    normal end leaves a plain mp4."""

    def __init__(self, path: Path, first: EncodedPacket) -> None:
        """Write the first. Raises SinkError."""
        self.path = path
        self.headers = first.headers
        self.session = first.session
        self.began_ns = first.arrived_ns
        self._start_s = self._last_s = first.decoded_s
        self._tick = -1
        self._closed = False
        self._container: OutputContainer | None = None
        try:
            # FFmpeg does not close a file whose first bytes it could not write.
            path.write_bytes(bytes(_FIRST_BYTES))
            # FFmpeg reads out of the first picture what the file must say of all.
            whole = first.data if first.data.startswith(first.headers) else first.headers + first.data
            with av.open(io.BytesIO(whole), format=first.codec) as told:
                template = told.streams.video[0]
                self._container = av.open(f"file:{path}", "w", format="mp4", container_options=_OPTIONS)
                self._stream = self._container.add_stream_from_template(template)
            self._stream.time_base = _TICK
            if first.codec == "hevc":
                self._stream.codec_context.codec_tag = _OF_APPLE
            self.write(first)
        except (av.error.FFmpegError, IndexError, OSError, ValueError) as error:
            self._abandon()
            raise write_failure(path, error) from error

    def goes_on_with(self, packet: EncodedPacket) -> bool:
        """Whether it may stand in this file: of one connection, one resolution, one codec and one clock."""
        if packet.session != self.session:
            return False
        jumped = abs(packet.decoded_s - self._last_s) > _JUMP_SECONDS
        return not packet.is_key or (packet.headers == self.headers and not jumped)

    def write(self, packet: EncodedPacket) -> None:
        """Raises SinkError; the file then ends with its last whole fragment, or is gone if it has none."""
        made = av.Packet(packet.data)
        # Some cameras repeat a timestamp, or step back by a few; a file may not.
        self._tick = max(round((packet.decoded_s - self._start_s) / _TICK), self._tick + 1)
        made.dts = self._tick
        made.pts = max(round((packet.shown_s - self._start_s) / _TICK), self._tick)
        made.time_base = _TICK
        made.is_keyframe = packet.is_key
        made.stream = self._stream
        assert self._container
        try:
            self._container.mux(made)
        except av.error.FFmpegError as error:
            self._abandon()
            raise write_failure(self.path, error) from error
        self._last_s = packet.decoded_s

    def close(self) -> None:
        """Write the index. Idempotent. Raises SinkError, as `write`."""
        if self._closed:
            return
        self._closed = True
        assert self._container
        try:
            self._container.close()
        except av.error.FFmpegError as error:
            self._abandon()
            raise write_failure(self.path, error) from error

    def _abandon(self) -> None:
        self._closed = True
        # What fails now can only repeat the error that is on its way.
        if self._container:
            with suppress(av.error.FFmpegError):
                self._container.close()
        with suppress(OSError):
            if not cut_to_whole_fragments(self.path):
                self.path.unlink()
