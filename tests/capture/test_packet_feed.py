"""Packets on their way to a recording: their form, their times, what a decoder must know before them."""

from __future__ import annotations

import av
import numpy as np
import pytest

from streamseg.capture.packet_feed import PacketFeed, parameter_sets
from streamseg.capture.utc_clock import UtcClock

CODECS = {"libx264": "h264", "libx265": "hevc", "mjpeg": "mjpeg"}


def fed(path, *, stamped=True, spoil=lambda packet, index: None):
    """The packets of a file as they are handed on."""
    taken = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        feed = PacketFeed(stream, "cam", taken.append, UtcClock())
        for index, packet in enumerate(container.demux(stream)):
            spoil(packet, index)
            feed.take(packet, None, stamped=stamped)
    return taken


@pytest.mark.parametrize("name", ["clip.flv", "clip.ts", "clip.mp4"])
def test_h264_comes_behind_start_codes_whatever_it_came_in(clip, name):
    path = clip(name, frames=20, options={"g": "8", "bf": "0", "sc_threshold": "0"})
    taken = fed(path)
    assert [packet.is_key for packet in taken] == [k % 8 == 0 for k in range(20)]
    assert all(packet.data[:3] in (b"\0\0\1", b"\0\0\0") for packet in taken)
    assert [bool(packet.headers) for packet in taken] == [packet.is_key for packet in taken]
    assert np.diff([packet.decoded_s for packet in taken]) == pytest.approx(1 / 30, abs=2e-3)
    assert {packet.session for packet in taken} == {taken[0].session}
    decoder = av.CodecContext.create("h264", "r")
    pictures = [f for packet in taken for f in decoder.decode(av.Packet(packet.headers + packet.data))]
    assert len(pictures) + len(decoder.decode(None)) == 20


@pytest.mark.parametrize("encoder", CODECS)
def test_the_headers_tell_another_resolution_and_no_other_difference(clip, encoder):
    def headers(name, size_hw, seed):
        noise = np.random.default_rng(seed)
        pictures = [noise.integers(0, 255, (*size_hw, 3)).astype(np.uint8) for _ in range(3)]
        options = {"x265-params": "log-level=none"} if encoder == "libx265" else {"bf": "0"}
        path = clip(name, codec=encoder, pictures=pictures, options=options)
        return next(packet.headers for packet in fed(path) if packet.is_key)

    first = headers("a.mkv", (96, 160), 1)
    assert first
    assert headers("b.mkv", (96, 160), 2) == first
    assert headers("c.mkv", (96, 176), 1) != first


def test_what_stands_between_start_codes():
    sps, pps, slice_ = b"\x67\x64\x00", b"\x68\xee", b"\x65\x88\x80"
    data = b"\0\0\0\1\x09\x10" + b"\0\0\0\1" + sps.rstrip(b"\0") + b"\0\0\1" + pps + b"\0\0\1" + slice_
    assert parameter_sets("h264", data) == b"\0\0\0\1\x67\x64\0\0\0\1\x68\xee"
    assert parameter_sets("h264", b"\0\0\0\1" + slice_) == b""
    assert parameter_sets("hevc", b"\0\0\0\1\x40\x01\x0c\0\0\1\x26\x01") == b"\0\0\0\1\x40\x01\x0c"
    assert parameter_sets("h264", b"") == b""


def test_a_picture_that_comes_before_its_time_is_known_gets_one(clip):
    """As gst-rtsp-server sends the first."""

    def spoil(packet, index):
        if index in (0, 5):
            packet.pts = packet.dts = None

    taken = fed(clip("clip.ts", frames=10, options={"bf": "0"}), spoil=spoil)
    assert len(taken) == 10
    # Read at once, they have the same time of arrival.
    steps = np.diff([packet.decoded_s for packet in taken])
    assert np.all(steps >= 0)
    assert taken[0].decoded_s == pytest.approx(taken[1].decoded_s, abs=0.2)
    assert taken[5].decoded_s == pytest.approx(taken[4].decoded_s, abs=0.2)


def test_timestamps_that_were_made_up_give_way_to_the_time_of_arrival(clip):
    taken = fed(clip("clip.mkv", codec="mjpeg", frames=4), stamped=False)
    assert [packet.shown_s for packet in taken] == [packet.arrived_ns / 1e9 for packet in taken]
    assert all(packet.is_key for packet in taken)


def test_another_codec_is_named_once_and_not_handed_on(clip, caplog):
    assert fed(clip("clip.mkv", codec="mpeg4", frames=4)) == []
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == "cam: its codec mpeg4 cannot be recorded; H.264, H.265 and JPEG can"


def test_packets_that_come_damaged_are_left_out(clip):
    """Lengths that lead beyond the end, as of a camera behind RTMP."""

    def spoil(packet, index):
        if index in (3, 4) and packet.size:
            packet.update(b"\xff\xff\xff\xff" + bytes(packet)[4:])

    taken = fed(clip("clip.flv", frames=10, options={"bf": "0"}), spoil=spoil)
    assert len(taken) == 8
