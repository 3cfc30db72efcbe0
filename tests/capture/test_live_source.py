"""Streams that end, break, freeze and come back, over real sockets."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import socketserver
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.capture.live_source import LiveSource
from streamseg.capture.source import SourceOptions
from streamseg.errors import SourceError, SourceTimeout
from streamseg.source_state import SourceState
from tests.capture.served import answering

PATIENT = SourceOptions(open_timeout_s=60, read_timeout_s=60, max_backoff_s=0.3)
IMPATIENT = SourceOptions(open_timeout_s=60, read_timeout_s=1, max_backoff_s=0.3)
NEVER_S = 3600.0
"""Nothing here waits so long: what is not broken off runs into the test's own timeout."""


@contextmanager
def answering_all(handle: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A TCP server of our own making, a thread for each connection; its http address."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                handle(self.request, self.request.recv(4096))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/camera"
        finally:
            server.shutdown()
            thread.join()


def jpeg_part(k: int, hw: tuple[int, int] = (96, 160)) -> bytes:
    _, data = cv2.imencode(".jpg", np.full((*hw, 3), 10 * (k % 25), np.uint8))
    head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data.tobytes() + b"\r\n"


HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=cut\r\n\r\n"


def test_motion_jpeg_over_http_with_a_size_that_changes_after_a_break() -> None:
    sizes = itertools.chain([(96, 160)], itertools.repeat((120, 200)))

    def handle(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        hw = next(sizes)
        for k in range(20):
            connection.sendall(jpeg_part(k, hw))
            time.sleep(0.01)

    with answering(handle) as url, LiveSource(url, "cam", PATIENT) as source:
        assert source.live
        assert source.size_hw == (96, 160)
        frames = list(itertools.islice(source, 30))
        assert source.state.reconnects == 1
        assert source.size_hw == (120, 200)
        assert source.state.state == "live"
    assert frames[0].pts_seconds == 0
    assert {frame.size_hw for frame in frames} == {(96, 160), (120, 200)}
    assert [frame.index for frame in frames] == list(range(30))
    assert (np.diff([frame.pts_seconds for frame in frames]) > 0).all()
    assert (np.diff([frame.captured_ns for frame in frames]) > 0).all()


def test_motion_jpeg_has_no_timestamps_so_arrival_counts() -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        for k in range(12):
            connection.sendall(jpeg_part(k))
            time.sleep(0.1)

    asked, came, media = [], [], []
    with answering(handle) as url, LiveSource(url, "cam", PATIENT) as source:
        frames = iter(source)
        for _ in range(10):
            asked.append(time.monotonic())
            media.append(next(frames).pts_seconds)
            came.append(time.monotonic())
    assert asked[9] - came[1] <= media[9] - media[1] <= came[9] - asked[1]


def stalling(connection: socket.socket) -> None:
    """Some pictures, then silence on an open connection."""
    connection.sendall(HEAD + b"".join(jpeg_part(k) for k in range(5)))
    while connection.recv(1024):
        pass


def test_the_watchdog_notices_a_source_that_went_silent() -> None:
    with answering(stalling) as url, LiveSource(url, "cam", IMPATIENT) as source:
        frames = iter(source)
        began = time.monotonic()
        while source.state.reconnects == 0:
            next(frames)
        assert time.monotonic() - began >= 1


def test_packets_that_cannot_be_decoded_are_counted_and_the_codec_is_named() -> None:
    part = b"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: 12\r\n\r\n\xff\xd8no jpeg!!!\r\n"

    def handle(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"".join(jpeg_part(k) for k in range(5)))
        while True:
            connection.sendall(part)
            time.sleep(0.02)

    with answering(handle) as url, LiveSource(url, "cam", IMPATIENT) as source:
        said: list[str | None] = []
        for _ in itertools.islice(source, 4):
            pass
        watcher = threading.Thread(target=lambda: said.append(when_lost(source)))
        watcher.start()
        next(iter(source))
        for _ in source:
            break
        watcher.join()
        assert source.counters()["damaged"] > 0
    assert re.search(r"no frame for 1 s though packets came: .*\(.*, codec mjpeg.* 160x96\)", str(said[0]))


def when_lost(source: LiveSource) -> str | None:
    """Wait until the source is disconnected; why it is."""
    while source.state.state in ("live", "stalled"):
        time.sleep(0.005)
    return source.state.detail


@pytest.mark.timeout(120)
def test_interrupt_breaks_off_a_read() -> None:
    options = SourceOptions(read_timeout_s=NEVER_S)
    with answering(stalling) as url, LiveSource(url, "cam", options) as source:
        frames = iter(source)
        for _ in range(4):
            next(frames)
        interrupter = threading.Timer(0.3, source.interrupt)
        interrupter.start()
        assert len(list(frames)) <= 1
        assert source.state.state == "live"
        interrupter.join()


@pytest.mark.timeout(120)
def test_interrupt_breaks_off_the_pause_between_attempts(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamseg.capture.retry._FIRST_SECONDS", NEVER_S)
    options = SourceOptions(wait_for_source=True, max_backoff_s=NEVER_S)
    with LiveSource(f"http://127.0.0.1:{free_port}/x", "cam", options) as source:
        interrupter = threading.Timer(0.3, source.interrupt)
        interrupter.start()
        assert list(source) == []
        interrupter.join()
        assert "connection refused" in source.state.detail


@pytest.mark.timeout(120)
def test_interrupt_breaks_off_the_first_connection_of_one_that_is_waited_for() -> None:
    options = SourceOptions(wait_for_source=True, open_timeout_s=NEVER_S)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        with LiveSource(url, "cam", options) as source:
            interrupter = threading.Timer(0.3, source.interrupt)
            interrupter.start()
            assert list(source) == []
            interrupter.join()


def test_the_end_of_a_stream_means_disconnected(clip, file_server: str) -> None:
    clip("a.ts", frames=10)
    with LiveSource(f"{file_server}/a.ts", "cam", PATIENT) as source:
        frames = list(itertools.islice(source, 25))
        assert source.state.reconnects == 2
    assert (np.diff([frame.pts_seconds for frame in frames]) > 0).all()


def test_media_time_goes_on_by_the_clock_on_the_wall(clip, file_server: str) -> None:
    clip("a.ts", frames=10)
    with LiveSource(f"{file_server}/a.ts", "cam", PATIENT) as source:
        frames = list(itertools.islice(source, 11))
    pause = (frames[10].captured_ns - frames[9].captured_ns) / 1e9
    assert frames[10].pts_seconds - frames[9].pts_seconds == pytest.approx(pause, abs=1e-6)


@pytest.mark.timeout(120)
def test_nothing_serving_is_an_error_at_once(free_port: int) -> None:
    options = SourceOptions(open_timeout_s=NEVER_S)
    with pytest.raises(SourceError, match="cannot be opened .connection refused: nothing is serving"):
        LiveSource(f"rtsp://127.0.0.1:{free_port}/x", "cam", options)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_no_answer_is_an_error_after_the_timeout(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(SourceTimeout, match="no answer within 0.5 s"):
            LiveSource(
                f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/x", "cam", SourceOptions(open_timeout_s=0.5)
            )
        assert time.monotonic() - began >= 0.5


def test_a_stream_without_a_frame_is_an_error() -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        while connection.recv(1024):
            pass

    options = SourceOptions(open_timeout_s=0.5, read_timeout_s=0.5)
    with answering(handle) as url, pytest.raises(SourceError, match="camera: "):
        LiveSource(url, "cam", options)


def test_unknown_host() -> None:
    with pytest.raises(SourceError, match="host 'camera.invalid' is not known"):
        LiveSource("rtsp://camera.invalid/x", "cam")


def test_wrong_password_is_explained_and_not_shown() -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n')

    with answering(handle) as url:
        address = url.replace("://", "://me:se@cret@") + "?token=secret"
        with pytest.raises(SourceError, match="user name and password") as caught:
            LiveSource(address, "cam")
    assert "//me:***@127.0.0.1" in str(caught.value)
    for said in (str(caught.value), "".join(traceback.format_exception(caught.value))):
        assert "cret" not in said


def test_a_scheme_in_capitals_and_a_blank_before_it() -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"".join(jpeg_part(k) for k in range(3)))

    with answering(handle) as url, LiveSource(" " + url.replace("http", "HTTP"), "cam", PATIENT) as source:
        assert len(list(itertools.islice(source, 3))) == 3


@pytest.mark.rtsp
def test_rtsp_plays_survives_its_server_and_changes_size(rtsp_server) -> None:
    rtsp_server.start(320, 240)
    with LiveSource(rtsp_server.url, "cam", PATIENT) as source:
        assert (source.size_hw, source.fps) == ((240, 320), 30)
        frames = list(itertools.islice(source, 20))
        rtsp_server.kill()
        back = threading.Timer(1.0, rtsp_server.start, (640, 480))
        back.start()
        for frame in source:
            frames.append(frame)
            if frame.size_hw == (480, 640) and len(frames) > 40:
                break
        back.join()
        assert source.state.reconnects == 1
        assert source.state.state == "live"
    assert (np.diff([frame.pts_seconds for frame in frames]) > 0).all()
    back_at = [frame.size_hw for frame in frames].index((480, 640))
    before, after = frames[back_at - 1 : back_at + 1]
    away = (after.captured_ns - before.captured_ns) / 1e9
    assert after.pts_seconds - before.pts_seconds == pytest.approx(away, abs=1e-6)


@pytest.mark.rtsp
def test_rtsp_frozen_source_is_noticed_after_the_timeout_not_twice_that(rtsp_server) -> None:
    rtsp_server.start()
    with LiveSource(rtsp_server.url, "cam", SourceOptions(open_timeout_s=60, read_timeout_s=4)) as source:
        frames = iter(source)
        for _ in range(15):
            next(frames)
        rtsp_server.freeze()
        frozen = time.monotonic()
        noticed: list[float] = []

        def watch() -> None:
            while source.state.state in ("live", "stalled"):
                time.sleep(0.01)
            noticed.append(time.monotonic() - frozen)
            source.interrupt()

        watcher = threading.Thread(target=watch)
        watcher.start()
        list(frames)
        watcher.join()
    assert 3.5 < noticed[0] < 2 * 4


@pytest.mark.rtsp
@pytest.mark.timeout(120)
def test_rtsp_interrupt_while_the_server_is_frozen(rtsp_server) -> None:
    rtsp_server.start()
    with LiveSource(rtsp_server.url, "cam", SourceOptions(read_timeout_s=NEVER_S)) as source:
        frames = iter(source)
        for _ in range(10):
            next(frames)
        rtsp_server.freeze()
        interrupter = threading.Timer(0.5, source.interrupt)
        interrupter.start()
        list(frames)
        interrupter.join()


def test_of_two_cameras_of_one_server_one_is_removed() -> None:
    """The other one does not even lose a frame."""
    removed = threading.Event()

    def handle(connection: socket.socket, request: bytes) -> None:
        connection.sendall(HEAD + b"".join(jpeg_part(k) for k in range(4)))
        if b"/camera?kept" in request:
            removed.wait(60)
            connection.sendall(b"".join(jpeg_part(k) for k in range(4)))
        while connection.recv(1024):
            pass

    with (
        answering_all(handle) as url,
        LiveSource(f"{url}?kept", "a", PATIENT) as kept,
        LiveSource(f"{url}?removed", "b", PATIENT) as gone,
    ):
        gone.interrupt()
        assert len(list(gone)) <= 4
        removed.set()
        assert [frame.index for frame in itertools.islice(kept, 7)] == list(range(7))
        assert kept.state.reconnects == 0
        kept.interrupt()


def test_two_servers_are_told_apart(tmp_path: Path) -> None:
    """Breaking off one stream leaves the connection to another server alone."""
    flow = threading.Event()

    def patient(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"".join(jpeg_part(k) for k in range(3)))
        flow.wait(60)
        connection.sendall(b"".join(jpeg_part(k) for k in range(3)))

    with (
        answering(patient) as first,
        answering(stalling) as second,
        LiveSource(first, "a", PATIENT) as kept,
        LiveSource(second, "b", PATIENT) as broken,
    ):
        broken.interrupt()
        flow.set()
        assert len(list(itertools.islice(kept, 5))) == 5
        assert kept.state.reconnects == 0


def states_of(source: LiveSource, wanted: list[str]) -> list[SourceState]:
    """Read by another thread until the states called `wanted` were seen in that order; what was seen."""
    seen = [source.state]
    while [state.state for state in seen] != wanted:
        if (state := source.state).state != seen[-1].state:
            seen.append(state)
        time.sleep(0.005)
    source.interrupt()
    return seen


@pytest.mark.timeout(120)
def test_states_of_a_camera_that_falls_silent_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    options = SourceOptions(open_timeout_s=60, read_timeout_s=0.6, stall_s=0.3, max_backoff_s=0.3)
    wanted = ["connecting", "live", "stalled", "reconnecting", "live"]
    with answering(stalling) as url, LiveSource(url, "cam", options) as source:
        seen: list[SourceState] = []
        watcher = threading.Thread(target=lambda: seen.extend(states_of(source, wanted)))
        watcher.start()
        frames = list(source)
        watcher.join()
    connecting, live, stalled, lost, back = seen
    assert [state.reason for state in seen] == [None, None, "timeout", "timeout", None]
    assert [state.reconnects for state in seen] == [0, 0, 0, 0, 1]
    assert (stalled.detail, live.detail) == ("no frame for 0.3 s", "")
    assert lost.detail == f"{url}: no frame for 0.6 s"
    assert live.since_ns < stalled.since_ns < lost.since_ns < back.since_ns
    assert stalled.since_ns in [frame.captured_ns for frame in frames]
    assert back.since_ns in [frame.captured_ns for frame in frames]
    assert connecting.seconds(connecting.since_ns + 1_500_000_000) == 1.5
