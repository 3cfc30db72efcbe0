"""Events to a webhook or an MQTT broker, by way of an outbox on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from streamseg.addresses import shown
from streamseg.files import user_state_dir
from streamseg.sinks.destinations import check_destination
from streamseg.sinks.events_sink import Envelopes, as_json
from streamseg.sinks.outbox import Outbox
from streamseg.sinks.publisher import DRAIN_SECONDS
from streamseg.structures import Result

__all__ = ["PublishSink"]

_log = logging.getLogger(__name__)

RESTART_SECONDS = 5.0
"""At least so long between two starts of the program that delivers."""


class PublishSink:
    """Every event, as a CloudEvent, to one address; each at least once, in order.

    Events lie in a SQLite file (`path`) until the other end has taken them: they outlive a dead broker, a
    kill and the end of the run, and the next run to the same address delivers what is left. A receiver that
    must not see one twice compares `id`.
    """

    needs_canvas = False
    misses_nothing = True

    def __init__(self, address: str, folder: Path | None = None) -> None:
        """`folder` of the outbox, by default the user's. Raises ConfigError, SinkError, MissingDependency."""
        check_destination(address)
        self.address = address
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        self.path = (folder or user_state_dir() / "outbox") / f"{name}.sqlite"
        self.events = 0
        """Events handed over."""
        self._outbox = Outbox(self.path)
        self._envelopes = Envelopes()
        self._trouble = ""
        self._closed = False
        self._start()

    def write(self, result: Result) -> None:
        """Keep the events of one frame, and have them sent. Raises SinkError."""
        self._put(self._envelopes.of(result))

    def counters(self) -> dict[str, int]:
        """Of events: handed over in this run; waiting, refused, and lost to newer ones."""
        if not self._closed:
            self._counts = self._outbox.counts()
        return {"events": self.events, **self._counts, "lost": self._outbox.lost}

    def close(self) -> None:
        """End what goes on, and give its delivery a few seconds; what is left the next run delivers."""
        if self._closed:
            return
        try:
            self._put(self._envelopes.rest())
        finally:
            self._end()
            self._say()
            self.counters()
            self._closed = True
            self._outbox.close()

    def _put(self, made: list[dict[str, object]]) -> None:
        if not made:
            return
        self._outbox.put([(_topic(event), as_json(event)) for event in made])
        self.events += len(made)
        if self._sender.poll() is not None and time.monotonic() - self._started > RESTART_SECONDS:
            _log.warning("%s: the program that delivers ended; started again", shown(self.address))
            self._close_orders()
            self._start()
        self._wake(b".")
        self._say()

    def _say(self) -> None:
        """Once for each trouble, and when it is over."""
        trouble = self._outbox.trouble() if self._outbox.counts()["waiting"] else ""
        if trouble != self._trouble:
            self._trouble = trouble
            place = shown(self.address)
            _log.warning("%s", f"{trouble}; events wait" if trouble else f"{place}: events are taken again")

    def _start(self) -> None:
        self._started = time.monotonic()
        self._sender = subprocess.Popen(
            [sys.executable, "-P", "-m", "streamseg.sinks.publisher"], stdin=subprocess.PIPE
        )
        assert self._sender.stdin is not None
        os.set_blocking(self._sender.stdin.fileno(), False)
        self._wake(json.dumps([str(self.path), self.address]).encode() + b"\n")

    def _wake(self, what: bytes) -> None:
        assert self._sender.stdin is not None
        # A full pipe has woken it already; one that has ended is started again at the next event.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._sender.stdin.fileno(), what)

    def _close_orders(self) -> None:
        assert self._sender.stdin is not None
        self._sender.stdin.close()

    def _end(self) -> None:
        self._close_orders()
        try:
            self._sender.wait(2 * DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._sender.kill()
            self._sender.wait()


def _topic(event: dict[str, object]) -> str:
    """`SOURCE/RULE`, without what MQTT gives a meaning to."""
    data = event["data"]
    assert isinstance(data, dict)
    return f"{quote(data['source'], safe='')}/{quote(data['rule'], safe='')}"
