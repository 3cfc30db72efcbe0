"""The server: its socket, its event loop, its end. Tested in tests/serving/test_live.py."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import suppress

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from streamseg.errors import ConfigError
from streamseg.serving.api import Api
from streamseg.serving.hub import Hub

__all__ = ["Server", "bound_socket", "is_loopback"]

MOST_CONNECTIONS = 400
_SEND_BUFFER = 256 * 1024
"""Bytes that the system holds for one viewer. Left to itself it takes megabytes: seconds of old pictures."""
_MOST_UNSENT = 4 << 20
_MOST_ORDER = 16 * 1024
"""Of a viewer's message; a hundred sources to watch need a fifth."""
_GOODBYE_SECONDS = 1


class _BoundedWebSocket(WebSocketsSansIOProtocol):
    """Drops who sends pings and reads no answer: they would pile up here without end."""

    def handle_ping(self) -> None:
        if self.transport.get_write_buffer_size() > _MOST_UNSENT:
            self.transport.abort()
            return
        super().handle_ping()


def split_host_port(address: str) -> tuple[str, int]:
    """Of `host:port`. Raises ConfigError."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ConfigError(f"serve.address: expected HOST:PORT such as 127.0.0.1:8080, got {address!r}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def bound_socket(address: str) -> socket.socket:
    """Listening at `host:port`; port 0 is any. Raises ConfigError."""
    host, port = split_host_port(address)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"serve.address {address}: this host is not known ({error})") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.bind((host, port))
        listener.listen(MOST_CONNECTIONS)  # who comes before the server does waits
    except OSError as error:
        listener.close()
        raise ConfigError(f"serve.address {address}: cannot listen there ({error.strerror})") from error
    return listener


class Server:
    """Serves `api` on `listener` for as long as `run` lasts."""

    def __init__(self, api: Api, hub: Hub, listener: socket.socket) -> None:
        self._api = api
        self._hub = hub
        self._listener = listener
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                api.app,
                ws=_BoundedWebSocket,
                ws_max_size=_MOST_ORDER,
                ws_per_message_deflate=False,  # JPEG does not shrink: 5 ms a message for nothing
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=_GOODBYE_SECONDS,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
            )
        )

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        """Serve until `interrupt`."""
        asyncio.run(self._serve())

    def interrupt(self) -> None:
        """From any thread."""
        self._uvicorn.should_exit = True

    async def _serve(self) -> None:
        self._hub.bind(asyncio.get_running_loop())
        ticking = asyncio.create_task(self._api.tick())
        ticking.add_done_callback(lambda _: self.interrupt())
        try:
            await self._uvicorn.serve(sockets=[self._listener])
        finally:
            self._hub.bind(None)
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking

    def close(self) -> None:
        """Free the address; also when it never ran."""
        self._listener.close()
