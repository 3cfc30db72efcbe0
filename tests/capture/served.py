"""A TCP server of our own making, for streams that no ordinary server sends."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Handler = Callable[[socket.socket], None]


@contextmanager
def answering(
    handle: Handler, context: ssl.SSLContext | None = None, asked: list[bytes] | None = None
) -> Iterator[str]:
    """Serves one connection at a time, whose request is read (into `asked`); its http or https address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                    with context.wrap_socket(connection, True) if context else connection as line:
                        line.settimeout(60)
                        request = line.recv(4096)
                        if asked is not None:
                            asked.append(request)
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


class Relay:
    """A TCP relay to a port of this machine; `meddle` is given what the server sends, and gives what arrives.

    Nothing of the first `whole` bytes of a connection, the greeting, is given to it.
    """

    def __init__(self, to_port: int, meddle: Callable[[bytes], bytes], whole: int = 4096) -> None:
        self._to = "127.0.0.1", to_port
        self._meddle = meddle
        self._whole = whole
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._to)
                self._lines += [client, server]
                for way in ((client, server, False), (server, client, True)):
                    self._threads.append(threading.Thread(target=self._pass_on, args=way))
                    self._threads[-1].start()

    def _pass_on(self, origin: socket.socket, target: socket.socket, meddles: bool) -> None:
        passed = 0
        with suppress(OSError):
            while chunk := origin.recv(65536):
                target.sendall(self._meddle(chunk) if meddles and passed > self._whole else chunk)
                passed += len(chunk)
        for line in (origin, target):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # Closing alone would not wake a thread that accepts.
        for line in (self._listener, *self._lines):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for line in (self._listener, *self._lines):
            line.close()
