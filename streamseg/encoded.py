"""Pictures as a camera encoded them: what is recorded without being encoded again.

Tested in tests/capture/test_packet_feed.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["RECORDED_CODECS", "EncodedPacket", "OnPacket"]

RECORDED_CODECS = ("h264", "hevc", "mjpeg")
"""As FFmpeg calls them: what cameras send."""


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One picture of a video stream."""

    codec: str
    """One of RECORDED_CODECS."""
    data: bytes
    """H.264 and H.265: NAL units, each behind a start code (Annex B). Else one JPEG."""
    headers: bytes
    """Of a key picture: what a decoder must know before it, in the same form; it changes with resolution and
    profile. Of others empty."""
    is_key: bool
    """Whether decoding can begin here."""
    shown_s: float
    """When it is shown, in seconds on a clock of its session."""
    decoded_s: float
    """When it must be decoded, on the same clock; grows from packet to packet where the sender is sane."""
    session: int
    """Another number for each connection to the source."""
    arrived_ns: int
    """time.monotonic_ns() when it was read."""
    utc_ns: int
    """When it was captured, as of `Frame.utc_ns`."""


OnPacket = Callable[[EncodedPacket], None]
"""Is handed each packet in the thread that reads them; returns at once."""
