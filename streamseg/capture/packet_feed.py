"""Packets of a session → EncodedPackets, for whoever records them."""

from __future__ import annotations

import itertools
import logging
import re
import time
from dataclasses import replace

import av
import av.error
from av.bitstream import BitStreamFilterContext

from streamseg.capture.utc_clock import UtcClock
from streamseg.encoded import RECORDED_CODECS, EncodedPacket, OnPacket

__all__ = ["PacketFeed", "parameter_sets"]

_log = logging.getLogger(__name__)
_sessions = itertools.count(1)

_START_CODE = re.compile(rb"\x00\x00\x01")
# NAL unit types (ITU-T H.264 table 7-1, H.265 table 7-1), and where in the first byte they stand.
_H264_SETS, _HEVC_SETS = {7, 8}, {32, 33, 34}
# Start of frame: precision, height, width (ITU-T T.81, B.2.2).
_JPEG_SIZE = re.compile(rb"\xff[\xc0-\xc2]\x00.(.{5})", re.DOTALL)
_HEAD_BYTES = 65536
"""Parameter sets stand before the picture."""
_MOST_UNTIMED = 30
_BEHIND_LENGTHS = 1
"""First byte of the headers where NAL units come behind their lengths: mp4, FLV, RTMP."""


class PacketFeed:
    """Hands on the packets of one connection; of a codec that cannot be recorded none, which is said once."""

    def __init__(self, stream: av.VideoStream, name: str, on_packet: OnPacket, clock: UtcClock) -> None:
        """`name` of the source, for people. `clock`: one for all sessions of a source."""
        codec = stream.codec_context
        self._codec = codec.name if codec.name in RECORDED_CODECS else None
        self._hand_on = on_packet
        self._clock = clock
        self._session = next(_sessions)
        self._headers = bytes(codec.extradata or b"")
        self._converter: BitStreamFilterContext | None = None
        self._last: EncodedPacket | None = None
        self._untimed: list[EncodedPacket] = []
        if self._codec is None:
            _log.warning("%s: its codec %s cannot be recorded; H.264, H.265 and JPEG can", name, codec.name)
        elif self._codec != "mjpeg" and self._headers[:1] == bytes([_BEHIND_LENGTHS]):
            self._converter = BitStreamFilterContext(f"{self._codec}_mp4toannexb", stream)

    def take(self, packet: av.Packet[av.stream.Stream], told_ns: int | None, *, stamped: bool) -> None:
        """`told_ns`: UTC of the packet by its sender's clock, if known. `stamped` False: its timestamps were
        made up, and the time of arrival counts."""
        arrived_ns = time.monotonic_ns()
        data = self._annex_b(packet) if self._codec else b""
        if self._codec is None or not data:
            return
        is_key = packet.is_keyframe or self._codec == "mjpeg"
        headers = (parameter_sets(self._codec, data) or self._headers) if is_key else b""
        utc_ns, _ = self._clock.of(arrived_ns, told_ns)
        made = EncodedPacket(self._codec, data, headers, is_key, 0.0, 0.0, self._session, arrived_ns, utc_ns)
        stamped = stamped and len(self._untimed) < _MOST_UNTIMED
        times = _times(packet) if stamped else (arrived_ns / 1e9, arrived_ns / 1e9)
        if times is None and self._last is None:
            self._untimed.append(made)  # servers send the first picture before they know its time
            return
        if times is None:
            times = self._reckoned(made), self._reckoned(made)
        self._last = replace(made, shown_s=times[0], decoded_s=times[1])
        for early in self._untimed:
            reckoned = self._reckoned(early)
            self._hand_on(replace(early, shown_s=reckoned, decoded_s=reckoned))
        self._untimed.clear()
        self._hand_on(self._last)

    def _reckoned(self, packet: EncodedPacket) -> float:
        """Its time, by its arrival before or after one whose time is known."""
        assert self._last is not None
        return self._last.decoded_s + (packet.arrived_ns - self._last.arrived_ns) / 1e9

    def _annex_b(self, packet: av.Packet[av.stream.Stream]) -> bytes:
        data = bytes(packet)
        if self._converter is None:
            return data
        copy = av.Packet(data)  # the filter takes what it is given, and the decoder wants it too
        copy.pts, copy.dts, copy.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
        try:
            return b"".join(bytes(part) for part in self._converter.filter(copy))
        except av.error.FFmpegError:  # damaged on its way; the decoder counts it
            return b""


def _times(packet: av.Packet[av.stream.Stream]) -> tuple[float, float] | None:
    """When it is shown and decoded, in seconds."""
    decoded = packet.dts if packet.dts is not None else packet.pts
    if decoded is None or packet.time_base is None:
        return None
    shown = packet.pts if packet.pts is not None else decoded
    return float(shown * packet.time_base), float(decoded * packet.time_base)


def parameter_sets(codec: str, data: bytes) -> bytes:
    """What of a key picture tells its resolution and profile: the parameter sets, or a JPEG's size; empty
    where there is none in it."""
    if codec == "mjpeg":
        found = _JPEG_SIZE.search(data)
        return found[1] if found else b""
    starts = [match.end() for match in _START_CODE.finditer(data, 0, _HEAD_BYTES)]
    units = [data[start : end - 3] for start, end in itertools.pairwise([*starts, len(data) + 3])]
    wanted = [unit.rstrip(b"\x00") for unit in units if unit and _is_parameter_set(codec, unit[0])]
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in wanted)


def _is_parameter_set(codec: str, first: int) -> bool:
    return first & 31 in _H264_SETS if codec == "h264" else first >> 1 & 63 in _HEVC_SETS
