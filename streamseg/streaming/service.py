"""A run as a service of systemd: ready, alive, and how it is doing (sd_notify(3)).

Tested in tests/streaming/test_service.py.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import cache

from streamseg.streaming.counts import counts_of
from streamseg.streaming.job import Job

__all__ = ["Service"]

_LOOK_S = 1.0
_STATUS_S = 5.0


class Service:
    """Tells `READY=1` when the engine is open, `STATUS=` every few seconds, `WATCHDOG=1` twice in its time.

    The watchdog is not fed while frames of a source come in and, for `serve.healthy_seconds`, none has come
    out: then the process is at fault. A camera that is off is no fault of it.
    """

    def __init__(
        self,
        job: Job,
        address: str,
        watchdog_s: float | None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`address` of the manager's datagram socket; `@` begins an abstract name."""
        self._job = job
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._now_s = now_s
        self._is_ready = False
        self._looked_s = self._told_s = self._fed_s = float("-inf")
        self._captured: dict[str, tuple[int, float]] = {}
        """Of each source, how many frames, and when that was seen to grow."""

    @classmethod
    def of(cls, job: Job, environment: MutableMapping[str, str]) -> Service | None:
        """As systemd asks for it; None where nobody does. Takes the variables out: they are for this process
        and not for those that it starts."""
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", str(os.getpid()))
        if not address:
            return None
        is_watched = microseconds.isdecimal() and pid == str(os.getpid())
        return cls(job, address, int(microseconds) / 1e6 if is_watched else None)

    def refresh(self) -> None:
        """To be called a few times a second."""
        now = self._now_s()
        if now - self._looked_s < _LOOK_S:
            return
        self._looked_s = now
        lines = []
        if not self._is_ready and self._job.runtime != "loading":
            self._is_ready = True
            lines.append("READY=1")
        if now - self._told_s >= _STATUS_S or lines:
            self._told_s = now
            lines.append(f"STATUS={self._status()}")
        is_stuck = self._watchdog_s is not None and self._is_stuck(now)
        if self._watchdog_s and now - self._fed_s >= self._watchdog_s / 2 and not is_stuck:
            self._fed_s = now
            lines.append("WATCHDOG=1")
        self._tell(lines)

    def stopping(self) -> None:
        """The run is over; what is left is finishing its files."""
        self._tell(["STOPPING=1"])

    def _tell(self, lines: list[str]) -> None:
        if not lines:
            return
        # A manager that is away, or slow, is no reason to end or hold up a run.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)
            manager.sendto("\n".join(lines).encode(), self._address)

    def _status(self) -> str:
        if not self._is_ready:
            return "opening the engine"
        streams, live = self._job.streams, 0
        for source_id in streams:
            with suppress(KeyError):  # it is leaving just now
                live += self._job.state_of(source_id).state == "live"
        fps = sum(stream.meter.rate.recent_per_second() for stream in streams.values())
        return f"{live} of {len(streams)} sources live, {fps:.1f} frames a second"

    def _is_stuck(self, now: float) -> bool:
        """Whether frames of a source come in, and for too long none has come out."""
        patience_s = self._job.config.serve.healthy_seconds
        links = cache(self._job.pipeline.channel_stats)
        stuck = False
        for source_id, stream in self._job.streams.items():
            with suppress(KeyError, ValueError):
                captured = counts_of(self._job, source_id, links)["captured"]
                before, since = self._captured.get(source_id, (captured, float("-inf")))
                self._captured[source_id] = captured, now if captured != before else since
                comes_in = now - self._captured[source_id][1] < patience_s
                out_ns = stream.meter.last_ns or stream.added_ns
                stuck |= comes_in and now - out_ns / 1e9 > patience_s
        return stuck
