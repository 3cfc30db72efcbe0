"""The live page and the API of a job: what shows results, what changes it, what serves both.

Needs the extra `serve`. Tested in tests/serving/test_guard.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import ConfigError
from streamseg.overlay.painter import Painter
from streamseg.overlay.palette import colours_of
from streamseg.pipeline.side_thread import SideThread
from streamseg.serving.api import Api
from streamseg.serving.hub import Hub
from streamseg.serving.server import Server, bound_socket, is_loopback, split_host_port
from streamseg.sinks.events_sink import envelope
from streamseg.sinks.jsonl_sink import record
from streamseg.streaming.config import ServeConfig
from streamseg.streaming.config_file import ConfigFile
from streamseg.streaming.control import Control
from streamseg.streaming.job import Job
from streamseg.structures import Result

__all__ = ["LivePage", "PageView"]

_log = logging.getLogger(__name__)
_SHORTEST_TOKEN = 16


class LivePage:
    """Listens from the start, so that an address that is taken is an error before a frame is read."""

    def __init__(self, config: ServeConfig) -> None:
        """Raises ConfigError."""
        address = config.address or ""
        host, _ = split_host_port(address)
        self._config = config
        self._token = _token(config.token_file, host)
        self.hub = Hub(PageView)
        self._listener = bound_socket(address)

    @property
    def address(self) -> str:
        """Where the page is: `http://127.0.0.1:8080/`."""
        host, port = self._listener.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def part(self) -> _PagePart:
        """The pipeline's part that sees every result."""
        return _PagePart(self.hub)

    def serve(self, job: Job, file: ConfigFile) -> None:
        """Serve `job`, for as long as it runs."""
        control = Control(job, file)
        config = self._config
        names = (*config.hosts, split_host_port(config.address or "")[0])
        api = Api(control, self.hub, token=self._token, hosts=names, healthy_seconds=config.healthy_seconds)
        job.address, job.on_events = self.address, self.hub.hear
        job.companions += [control, _Serving(Server(api, self.hub, self._listener))]

    def close(self) -> None:
        """Free the address of a page that is not to be served."""
        self._listener.close()


class _Serving:
    """The server in a thread of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._thread = SideThread("server", self._run, server.interrupt)

    def _run(self) -> None:
        try:
            self._server.run()
        except BaseException as error:
            # Raised at the run's end; until then the run goes on, and nobody would know.
            _log.error("the live page has ended: %s: %s", type(error).__name__, error)
            raise

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with ExitStack() as ending:
            ending.callback(self._server.close)
            self._thread.stop()


class _PagePart:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def process(self, items: list[Result]) -> None:
        for result in items:
            self._hub.write(result)

    def forget(self, source: str) -> None:
        self._hub.forget(source)

    def close(self) -> None: ...


class PageView:
    """How a viewer is told of a result: as a line of JSON Lines, and as the overlay draws it."""

    def __init__(self) -> None:
        self._painter = Painter()
        self._wall_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()

    def describe(self, result: Result) -> Mapping[str, Any]:
        colours = colours_of(result.instances, result.tracks)
        coloured = [f"#{red:02x}{green:02x}{blue:02x}" for blue, green, red in colours]
        marks = [
            {
                "name": mark.name,
                "points": mark.points.astype(np.float64).round(1).tolist(),
                "line": mark.is_line,
                "text": mark.text,
                "active": mark.active,
            }
            for mark in result.marks
        ]
        return {**record(result, self._wall_minus_monotonic_ns), "colours": coloured, "marks": marks}

    def events(self, result: Result) -> tuple[dict[str, Any], ...]:
        frame = result.frame
        arrived_ns = frame.captured_ns + self._wall_minus_monotonic_ns
        captured_ns = arrived_ns if frame.utc_ns is None else frame.utc_ns
        return tuple(envelope(event, captured_ns) for event in result.events)

    def paint(self, result: Result) -> NDArray[np.uint8]:
        return self._painter.draw(
            result.frame, result.instances, result.tracks, result.class_names, marks=result.marks
        )


def _token(path: str | None, host: str) -> str | None:
    """Raises ConfigError where others can reach the address and there is none."""
    if path is None:
        if is_loopback(host):
            return None
        raise ConfigError(
            f"serve.address: others than this machine can reach {host}; name a file with a token "
            "(--token-file), such as: openssl rand -hex 24 > token"
        )
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"serve.token_file {path}: cannot be read: {error}") from error
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError(
            f"serve.token_file {path}: a token has at least {_SHORTEST_TOKEN} printable ASCII characters"
        )
    return token
