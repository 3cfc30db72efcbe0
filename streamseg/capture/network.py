"""Opening addresses with FFmpeg, in time and with errors that say what is wrong; breaking off a read."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

import av.error
from av.container import InputContainer

from streamseg.addresses import for_ffmpeg, printable, shown, split_address
from streamseg.capture.decode import nameless, open_container, reason
from streamseg.capture.source import SourceOptions
from streamseg.errors import SourceError, SourceTimeout

__all__ = ["Peer", "hang_up", "open_address", "peers_of"]

Peer = tuple[str, int]

_DEFAULT_PORTS = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322}

# Time to the first frame .15 s; .95 s with FFmpeg's defaults (measured on RTSP, joining a running stream).
_QUICK_START = {"fpsprobesize": "0", "analyzeduration": "100000", "probesize": "200000"}


def open_address(url: str, options: SourceOptions, *, quick_start: bool = False) -> InputContainer:
    """Connect; raises SourceTimeout or SourceError. A later read that waits longer than
    `options.read_timeout_s` raises av.error.ExitError.

    Connecting and finding out what is sent may each take `options.open_timeout_s`.
    """
    settings = dict(_QUICK_START) if quick_start else {}
    if split_address(url).scheme.startswith("rtsp"):
        settings["rtsp_transport"] = options.transport
    allowed = options.open_timeout_s
    began = time.monotonic()
    try:
        return open_container(for_ffmpeg(url), options=settings, timeout_s=(allowed, options.read_timeout_s))
    except av.error.FFmpegError as error:
        # FFmpeg's RTSP calls a reply that never came "invalid data".
        if isinstance(error, av.error.TimeoutError) or time.monotonic() - began >= allowed:
            raise SourceTimeout(f"{shown(url)}: no answer within {allowed:g} s") from nameless(error)
        raise SourceError(f"{shown(url)}: cannot be opened ({_explained(error)})") from nameless(error)


def _explained(error: av.error.FFmpegError) -> str:
    if isinstance(error, av.error.ConnectionRefusedError):
        return "connection refused: nothing is serving at this port"
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return "user name and password wanted: scheme://USER:PASSWORD@host/…"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return "FFmpeg does not know this scheme"
    return reason(error)


def peers_of(url: str) -> frozenset[Peer]:
    """The addresses that the host's name stands for.

    Empty for schemes whose default port is not known here. Raises SourceError for what is no address, and for
    a name that is unknown.
    """
    parts = split_address(url)
    try:
        parts.check()
    except ValueError as error:
        raise SourceError(f"{shown(url)}: not a valid address: {error}") from error
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    if port is None or not parts.host:
        return frozenset()
    try:
        found = socket.getaddrinfo(parts.host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise SourceError(f"{shown(url)}: host {printable(parts.host)!r} is not known ({why})") from error
    return frozenset((str(entry[4][0]), port) for entry in found)


def hang_up(peers: frozenset[Peer]) -> None:
    """Shut down this process's TCP connections to `peers`, so that a read waiting on one returns at once.

    PyAV has no way to break off a read before its timeout, and FFmpeg owns the socket. Another source of
    the same server loses its connection too, and connects again. Where there is no /proc (macOS,
    Windows) nothing happens: the read then ends by its timeout.
    """
    folder = Path("/proc/self/fd")
    if not peers or not folder.is_dir():
        return
    for entry in folder.iterdir():
        _shut_down(int(entry.name), peers)


def _shut_down(number: int, peers: frozenset[Peer]) -> None:
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return
        # The copy stays the same connection even if FFmpeg closes the number and it is used again.
        with socket.socket(fileno=os.dup(number)) as connection:
            if connection.family in (socket.AF_INET, socket.AF_INET6):
                host, port = connection.getpeername()[:2]
                if (host, port) in peers:
                    connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed meanwhile, or not connected: nothing to break off
