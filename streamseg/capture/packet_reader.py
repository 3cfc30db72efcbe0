"""A stream that is read to be recorded, and never decoded: the main stream of a camera.

Tested in tests/streaming/test_recording.py.
"""

from __future__ import annotations

import time

from streamseg.addresses import shown
from streamseg.capture.connect import checked_address, open_address
from streamseg.capture.network import Line, peers_of
from streamseg.capture.retry import Backoff
from streamseg.capture.session import Session
from streamseg.capture.source import SourceOptions
from streamseg.capture.utc_clock import UtcClock
from streamseg.errors import SourceError

__all__ = ["PacketReader"]

_NAP_SECONDS = 0.05


class PacketReader:
    """Hands on the packets of one address for ever; tries again as live sources do. For one thread."""

    def __init__(self, url: str, options: SourceOptions) -> None:
        """`options.on_packet` gets them. Raises SourceError for what is no address of a stream."""
        checked_address(url)
        self._url = url
        self._options = options
        self._clock = UtcClock()
        self._backoff = Backoff(options.max_backoff_s)
        self._line: Line | None = None
        self._interrupted = False
        self.trouble = ""
        """Why nothing comes, in one line; empty while packets come."""

    def run(self) -> None:
        """Until `interrupt`."""
        while not self._interrupted:
            began = time.monotonic()
            try:
                self._talk()
            except SourceError as error:
                if not self.trouble:
                    self._backoff.lived(time.monotonic() - began)
                self.trouble = str(error)
                self._sleep(self._backoff.pause_s(error.reason))

    def interrupt(self) -> None:
        """Make `run` return soon. From any thread."""
        self._interrupted = True
        if self._line:
            self._line.hang_up()

    def _talk(self) -> None:
        line = self._line = Line(peers_of(self._url))
        try:
            with open_address(self._url, self._options, quick_start=True) as container:
                line.connected()
                session = Session(container, shown(self._url), self._options, self._clock)
                self.trouble = ""
                if not self._interrupted:
                    session.hand_on()
        finally:
            line.close()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._interrupted and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))
