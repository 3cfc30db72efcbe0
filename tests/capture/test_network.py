"""Addresses, and breaking connections off."""

from __future__ import annotations

import socket

import pytest

from streamseg.capture.network import hang_up, peers_of, shown
from streamseg.errors import SourceError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://me:secret@host:554/x?y=1", "rtsp://me:***@host:554/x?y=1"),
        ("rtsp://me@host/x", "rtsp://me@host/x"),
        ("http://host:80/a:b@c", "http://host:80/a:b@c"),
    ],
)
def test_passwords_are_not_shown(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_peers() -> None:
    assert peers_of("rtsp://127.0.0.1/x") == {("127.0.0.1", 554)}
    assert peers_of("http://127.0.0.1:81/x") == {("127.0.0.1", 81)}
    assert peers_of("udp://127.0.0.1") == frozenset()


def test_a_port_that_is_none() -> None:
    with pytest.raises(SourceError, match="not a valid address"):
        peers_of("rtsp://host:camera/x")


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
