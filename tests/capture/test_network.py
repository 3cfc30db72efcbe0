"""Addresses, and breaking connections off."""

from __future__ import annotations

import socket

import pytest

from streamseg.capture.network import Line, peers_of
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


def is_cut(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


def test_hang_up_ends_its_own_connection_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        peer = frozenset({one.getsockname()})
        lines, connections = [], []
        for address in (one, one, other, one):
            lines.append(Line(peer))
            connections.append(socket.create_connection(address.getsockname()))
            lines[-1].connected()
        lines[1].hang_up()
        assert [is_cut(connection) for connection in connections] == [False, True, False, False]
        close(lines, connections)


def test_connections_that_came_up_together_end_when_nobody_wants_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        peer = frozenset({one.getsockname()})
        lines = [Line(peer), Line(peer)]
        connections = [socket.create_connection(one.getsockname()) for _ in lines]
        for line in lines:
            line.connected()
        lines[0].hang_up()
        assert not any(map(is_cut, connections))
        lines[1].hang_up()
        assert all(map(is_cut, connections))
        close(lines, connections)


def test_hang_up_while_connecting_and_of_connections_opened_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        line = Line(frozenset({one.getsockname()}))
        connections = [socket.create_connection(one.getsockname())]
        line.hang_up()
        assert is_cut(connections[0])
        line.connected()
        connections.append(socket.create_connection(one.getsockname()))
        line.hang_up()
        assert is_cut(connections[1])
        close([line], connections)


def close(lines: list[Line], connections: list[socket.socket]) -> None:
    for each in (*lines, *connections):
        each.close()
