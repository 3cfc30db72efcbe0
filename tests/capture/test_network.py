"""Addresses, and breaking connections off."""

from __future__ import annotations

import socket

import pytest

from streamseg.capture.network import hang_up, peers_of
from streamseg.errors import SourceError


def test_peers() -> None:
    assert peers_of("rtsp://127.0.0.1/x") == {("127.0.0.1", 554)}
    assert peers_of("http://127.0.0.1:81/x") == {("127.0.0.1", 81)}
    assert peers_of("udp://127.0.0.1") == frozenset()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rtsp://host:camera/x", "rtsp://host:camera/x: not a valid address: the port after the host"),
        ("rtsp://me:pw@[::1/x", r"rtsp://me:\*\*\*@\[::1/x: not a valid address: the \[ of"),
        ("rtsp://me:p/w@host/x", r"rtsp://me:\*\*\*@host/x: not a valid address: .*/ is written %2F"),
        ("rtsp://me:pw@camera..invalid/x", r"host 'camera\.\.invalid' is not known"),
    ],
)
def test_what_is_no_address(url: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        peers_of(url)
    assert "pw" not in str(caught.value)


def test_hang_up_ends_connections_to_the_peer_only() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_connection(one.getsockname()) as broken,
        socket.create_connection(other.getsockname()) as kept,
    ):
        hang_up(frozenset({one.getsockname()}))
        assert broken.recv(1) == b""
        accepted, _ = other.accept()
        with accepted:
            accepted.sendall(b"x")
            assert kept.recv(1) == b"x"
