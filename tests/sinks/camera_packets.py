"""Packets as a camera sends them, made by a real encoder."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from streamseg.encoded import EncodedPacket

RATE = 30
START_UTC_NS = 1_795_300_815_250_000_000
"""2026-11-21T22:40:15.250Z."""


def encoded(
    count: int,
    *,
    codec: str = "h264",
    hw: tuple[int, int] = (48, 64),
    gop: int = 15,
    session: int = 1,
    start_ns: int = 0,
    noise: int = 40,
) -> list[EncodedPacket]:
    """`count` pictures, 1/30 s apart, of which each `gop`-th is a key picture."""
    from streamseg.capture.packet_feed import parameter_sets

    encoder = av.CodecContext.create({"h264": "libx264", "hevc": "libx265", "mjpeg": "mjpeg"}[codec], "w")
    encoder.height, encoder.width = hw
    encoder.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, RATE), Fraction(RATE)
    encoder.gop_size = gop
    if codec != "mjpeg":
        asked = f"bframes=0:keyint={gop}:min-keyint={gop}:scenecut=0"
        asked += ":log-level=none" if codec == "hevc" else ""
        encoder.options = {"tune": "zerolatency", f"x26{'5' if codec == 'hevc' else '4'}-params": asked}
    random = np.random.default_rng(session)
    made = []
    for index in range(count):
        image = np.full((*hw, 3), 60 + index % 100, np.uint8) + random.integers(0, noise, (*hw, 3), np.uint8)
        frame = av.VideoFrame.from_ndarray(image, "bgr24").reformat(format=encoder.pix_fmt)
        frame.pts = index
        made += encoder.encode(frame)
    made += encoder.encode(None)
    packets = []
    for index, packet in enumerate(made):
        data, at_s = bytes(packet), index / RATE
        is_key = packet.is_keyframe or codec == "mjpeg"
        arrived_ns = start_ns + round(at_s * 1e9)
        utc_ns = START_UTC_NS + arrived_ns
        headers = parameter_sets(codec, data) if is_key else b""
        packets.append(EncodedPacket(codec, data, headers, is_key, at_s, at_s, session, arrived_ns, utc_ns))
    return packets
