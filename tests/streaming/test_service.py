"""What systemd is told, on a real datagram socket: ready, alive, not alive when nothing comes out."""

from __future__ import annotations

import os
import socket
import time

import pytest

from streamseg.streaming.config import load_config
from streamseg.streaming.meter import SourceMeter
from streamseg.streaming.service import Service
from streamseg.streaming.stream import Stream


class Counts:
    def __init__(self) -> None:
        self.offered = self.overrun = 0


class Run:
    """A run as far as the service looks at it: one source, of which the test says how it does."""

    def __init__(self) -> None:
        self.config = load_config(None, {"serve": {"healthy_seconds": 30}})
        self.runtime = "loading"
        self.streams = {"cam": Stream("rtsp://cam", (), SourceMeter(), {}, time.monotonic_ns())}
        self.pipeline = self

    def state_of(self, source_id):
        return type("State", (), {"state": "live"})


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.setblocking(False)
        yield one


def told(manager):
    lines = []
    while True:
        try:
            lines += manager.recv(4096).decode().split("\n")
        except BlockingIOError:
            return lines


@pytest.fixture
def clock(monkeypatch):
    captured = {"captured": 0}
    monkeypatch.setattr("streamseg.streaming.service.counts_of", lambda *_: captured)
    monkeypatch.setattr(Run, "channel_stats", lambda *_: {}, raising=False)
    return captured


def test_ready_status_and_a_watchdog_that_starves_when_nothing_comes_out(manager, clock):
    run = Run()
    now = time.monotonic()
    service = Service(run, manager.getsockname(), 20.0, lambda: now)
    service.refresh()
    assert told(manager) == ["STATUS=opening the engine", "WATCHDOG=1"]
    run.runtime = "openvino"
    now += 1
    service.refresh()
    assert told(manager) == ["READY=1", "STATUS=1 of 1 sources live, 0.0 frames a second"]
    fed = []
    for second in range(100):
        now += 1
        clock["captured"] += 30
        if second < 20:  # then the engine hangs
            run.streams["cam"].meter.last_ns = int(now * 1e9)
        service.refresh()
        fed += [second] if "WATCHDOG=1" in told(manager) else []
    assert fed[-1] <= 20 + 30
    assert len(fed) >= 4
    now += 31  # the camera goes off: no fault of the process
    service.refresh()
    assert "WATCHDOG=1" in told(manager)
    service.stopping()
    assert told(manager) == ["STOPPING=1"]


def test_as_systemd_asks_for_it(manager):
    asked = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "4000000", "PATH": "/bin"}
    service = Service.of(Run(), asked)
    assert service is not None
    assert service._watchdog_s == 4.0
    assert asked == {"PATH": "/bin"}
    assert Service.of(Run(), asked) is None
    other = {"NOTIFY_SOCKET": "/none", "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid() + 1)}
    elsewhere = Service.of(Run(), other)
    assert elsewhere is not None
    assert elsewhere._watchdog_s is None
    elsewhere.stopping()  # nobody listens: no error
