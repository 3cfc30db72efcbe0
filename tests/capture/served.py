"""A TCP server of our own making, for streams that no ordinary server sends."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Handler = Callable[[socket.socket], None]


@contextmanager
def answering(handle: Handler, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serves one connection at a time, whose request has been read; its http (or https) address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                    with context.wrap_socket(connection, True) if context else connection as line:
                        line.settimeout(60)
                        line.recv(4096)
                        handle(line)
                except OSError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        scheme = "https" if context else "http"
        try:
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/camera"
        finally:
            done.set()
            thread.join()
