"""The TCP connections of a source, and breaking off a read."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from streamseg.addresses import printable, shown
from streamseg.capture.connect import DEFAULT_PORTS, checked_address
from streamseg.errors import SourceError

__all__ = ["Line", "Peer", "peers_of"]

Peer = tuple[str, int]


def peers_of(url: str) -> frozenset[Peer]:
    """The addresses that the host's name stands for.

    Empty for schemes whose default port is not known here. Raises SourceError for what is no address, and for
    a name that is unknown.
    """
    parts = checked_address(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    if port is None or not parts.host or parts.scheme in ("udp", "rtp", "srtp"):
        return frozenset()
    try:
        found = socket.getaddrinfo(parts.host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        said = f"{shown(url)}: host {printable(parts.host)!r} is not known ({why})"
        raise SourceError(said, "connection") from error
    return frozenset((str(entry[4][0]), port) for entry in found)


class Line:
    """The TCP connections of one source, told from those of other sources to the same server.

    FFmpeg owns the sockets and says nothing of them: this source's are among those that came up after `Line`
    was made and that no other source has. PyAV has no way to break off a read before its timeout; `hang_up`
    does it by shutting them down. Where two sources connected at the same time, which is whose is not known,
    and a connection is shut down when both want it. Where there is no /proc (macOS, Windows) nothing is: the
    read then ends by its timeout.
    """

    _all: ClassVar[set[Line]] = set()

    def __init__(self, peers: frozenset[Peer]) -> None:
        """`peers`: see `peers_of`. Make it before connecting."""
        self._peers = peers
        self._before = frozenset(_connections(peers))
        self._own: frozenset[int] | None = None
        self._unwanted = False
        self._all.add(self)

    def connected(self) -> None:
        """The connection is up: what comes up from now on is another's, or one that FFmpeg opens besides."""
        self._own = frozenset(_connections(self._peers)) - self._before

    def hang_up(self) -> None:
        """Make a read that waits on the source's connection return at once. From any thread."""
        self._unwanted = True
        lines = list(self._all)
        known = frozenset[int]().union(*(line._own or () for line in lines))
        for inode, number in _connections(self._peers).items():
            claims = [line for line in lines if line._may_own(inode, known)]
            if self in claims and all(line._unwanted for line in claims):
                _shut_down(number, inode)

    def close(self) -> None:
        """The source has closed its connection."""
        self._all.discard(self)

    def _may_own(self, inode: int, known: frozenset[int]) -> bool:
        if inode in self._before:
            return False
        return self._own is None or inode in self._own or inode not in known


def _connections(peers: frozenset[Peer]) -> dict[int, int]:
    """This process's TCP connections to `peers`: what they are to the system (inode) → file descriptor."""
    folder = Path("/proc/self/fd")
    if not peers or not folder.is_dir():
        return {}
    found = {}
    for entry in folder.iterdir():
        number = int(entry.name)
        with suppress(OSError):  # closed meanwhile, or not connected
            status = os.fstat(number)
            if stat.S_ISSOCK(status.st_mode) and _peer(number) in peers:
                found[status.st_ino] = number
    return found


def _peer(number: int) -> Peer | None:
    with _borrowed(number) as connection:
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        host, port = connection.getpeername()[:2]
        return host, port


def _shut_down(number: int, inode: int) -> None:
    with suppress(OSError), _borrowed(number) as connection:
        if os.fstat(connection.fileno()).st_ino == inode:
            connection.shutdown(socket.SHUT_RDWR)


def _borrowed(number: int) -> socket.socket:
    """A copy: it stays the same connection even if FFmpeg closes the number and it is used again."""
    return socket.socket(fileno=os.dup(number))
