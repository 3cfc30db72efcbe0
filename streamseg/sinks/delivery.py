"""What it means to deliver a message. Tested in tests/sinks/test_publish_sink.py."""

from __future__ import annotations

from typing import Protocol

from streamseg.errors import StreamsegError

__all__ = ["ANSWER_SECONDS", "AUTH_PAUSE_SECONDS", "Destination", "Later", "Refused"]

ANSWER_SECONDS = 10.0
AUTH_PAUSE_SECONDS = 30.0
"""An account is locked by who hammers it with a wrong password."""


class Later(StreamsegError):
    """It was not taken now, and may be taken after `pause_s`."""

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Refused(StreamsegError):
    """It will never be taken."""


class Destination(Protocol):
    """Used by one thread."""

    def send(self, topic: str, body: str) -> None:
        """Returns when it was taken. Raises Later or Refused."""

    def close(self) -> None:
        """Idempotent."""
