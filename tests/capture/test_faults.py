"""A real RTSP server behind a network that damages, delays and cuts what it sends."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest

from streamseg.capture.live_source import LiveSource
from streamseg.capture.source import SourceOptions
from tests.capture.served import Relay, answering

pytestmark = [pytest.mark.rtsp, pytest.mark.timeout(120)]

PATIENT = SourceOptions(open_timeout_s=60, read_timeout_s=60, max_backoff_s=0.3)


@contextmanager
def relayed(rtsp_server, meddle: Callable[[bytes], bytes]) -> Iterator[str]:
    """The server's address behind a relay."""
    rtsp_server.start()
    port = int(rtsp_server.url.split(":")[2].partition("/")[0])
    with closing(Relay(port, meddle)) as relay:
        yield rtsp_server.url.replace(str(port), str(relay.port))


@pytest.mark.slow
def test_bytes_flipped_in_a_relay(rtsp_server) -> None:
    """One byte in a thousand: frames are lost and sessions too, the source is not."""
    chance = np.random.default_rng(11)

    def flip(chunk: bytes) -> bytes:
        damaged = bytearray(chunk)
        for at in np.flatnonzero(chance.random(len(damaged)) < 1e-3).tolist():
            damaged[at] ^= int(chance.integers(1, 256))
        return bytes(damaged)

    with relayed(rtsp_server, flip) as url, LiveSource(url, "cam", PATIENT) as source:
        frames = list(itertools.islice(source, 40))
    assert (np.diff([frame.pts_seconds for frame in frames]) > 0).all()
    assert {frame.size_hw for frame in frames} == {(240, 320)}


@pytest.mark.slow
def test_half_a_second_of_jitter(rtsp_server) -> None:
    """What was held up comes late, and all of it, in order."""
    chance = np.random.default_rng(5)

    def hold_up(chunk: bytes) -> bytes:
        if chance.random() < 0.1:
            time.sleep(0.5 * chance.random())
        return chunk

    with relayed(rtsp_server, hold_up) as url, LiveSource(url, "cam", PATIENT) as source:
        media = [frame.pts_seconds for frame in itertools.islice(source, 40)]
        assert source.state.reconnects == 0
    assert np.diff(media) == pytest.approx(np.full(39, 1 / 30), abs=2e-3)


@pytest.mark.slow
def test_a_camera_that_is_off_at_start_is_waited_for(rtsp_server) -> None:
    options = SourceOptions(open_timeout_s=60, wait_for_source=True, max_backoff_s=0.3)
    with LiveSource(rtsp_server.url, "cam", options) as source:
        seen = []

        def start() -> None:
            seen.append(source.state)
            rtsp_server.start()

        starting = threading.Timer(0.5, start)
        starting.start()
        frames = list(itertools.islice(source, 5))
        starting.join()
        live = source.state
    assert [(off.state, off.reason) for off in seen] == [("connecting", "connection")]
    assert (live.state, live.reconnects) == ("live", 0)
    assert frames[0].pts_seconds == 0


def test_a_refused_password_is_tried_once_in_a_while_not_hammered() -> None:
    """As of a server that says 401: nothing more while a broken line would be tried four times."""
    asked = []

    def refuse(line: socket.socket) -> None:
        asked.append(time.monotonic())
        line.sendall(b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nContent-Length: 0\r\n\r\n")

    options = SourceOptions(wait_for_source=True, max_backoff_s=0.05)
    with answering(refuse) as url, LiveSource(url.replace("http", "rtsp"), "cam", options) as source:
        interrupter = threading.Timer(0.4, source.interrupt)
        interrupter.start()
        assert list(source) == []
        interrupter.join()
        state = source.state
    assert len(asked) == 1
    assert (state.state, state.reason) == ("connecting", "auth")
