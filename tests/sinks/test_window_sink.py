"""On a virtual display whose pixels are read straight from the X server's memory."""

import shutil
import subprocess
import time

import numpy as np
import pytest

from streamseg.errors import SinkError
from streamseg.sinks.window_sink import WindowSink


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def screen_server(tmp_path, monkeypatch):
    """An X server without a screen, and a window manager; $DISPLAY names it.

    Without a manager, Qt 5.15 leaves one window in five unpainted for good.
    """
    missing = [tool for tool in ("Xvfb", "openbox", "xdotool", "wmctrl") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    server = subprocess.Popen(
        ["Xvfb", "-noreset", "-displayfd", "1", "-screen", "0", "1000x600x24", "-fbdir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    monkeypatch.setenv("DISPLAY", f":{server.stdout.readline().strip()}")
    manager = subprocess.Popen(["openbox"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: "Openbox" in subprocess.run(["wmctrl", "-m"], capture_output=True, text=True).stdout)
    yield server
    manager.terminate()
    manager.wait(60)
    server.terminate()
    server.wait(60)
    server.stdout.close()


@pytest.fixture
def screen(screen_server, tmp_path):
    """What is to be seen, (600, 1000, 3) BGR, when called."""

    def picture() -> np.ndarray:
        dump = (tmp_path / "Xvfb_screen0").read_bytes()  # an XWD file: 25 words of header, big endian
        header = np.frombuffer(dump, ">u4", 25)
        start = int(header[0]) + 12 * int(header[19])
        return np.frombuffer(dump, np.uint8, 600 * 1000 * 4, start).reshape(600, 1000, 4)[..., :3]

    return picture


@pytest.fixture
def sink(screen):
    sink = WindowSink()
    yield sink
    sink.close()


IMAGE = np.full((300, 400, 3), (200, 40, 90), np.uint8)


def covered(picture: np.ndarray) -> int:
    return int((picture == (200, 40, 90)).all(2).sum())


def until_stopped(sink, make_result):
    """As a pipeline would: frames keep coming."""

    def stopped() -> bool:
        sink.write(make_result(image=IMAGE))
        return sink.stop_requested

    until(stopped)


def test_the_canvas_is_on_the_screen(screen, sink, make_result):
    def shown() -> bool:
        sink.write(make_result(image=IMAGE))
        return covered(screen()) > 0.95 * 300 * 400

    until(shown)
    assert not sink.stop_requested
    sink.close()
    sink.close()


@pytest.mark.parametrize("key", ["q", "Escape"])
def test_a_key_requests_the_end_even_between_frames(screen, sink, make_result, key):
    sink.write(make_result(image=IMAGE))
    until(lambda: covered(screen()))
    subprocess.run(["xdotool", "search", "--name", "streamseg: cam", "windowfocus", "key", key], check=True)
    until_stopped(sink, make_result)


def test_closing_the_window_requests_the_end(screen, sink, make_result):
    sink.write(make_result(image=IMAGE))
    until(lambda: covered(screen()))  # one that is closed before its first picture comes back with it
    subprocess.run(["wmctrl", "-c", "streamseg: cam"], check=True)
    until_stopped(sink, make_result)


@pytest.mark.timeout(60)
def test_a_busy_display_skips_frames_instead_of_holding_them_up(sink, make_result):
    sink.write(make_result(image=IMAGE))
    for i in range(100):
        sink.write(make_result(i, image=IMAGE))
    assert sink.skipped > 0


def test_a_display_that_goes_away_is_one_line(screen_server, sink, make_result):
    sink.write(make_result(image=IMAGE))
    screen_server.kill()
    with pytest.raises(SinkError, match=r"window: no window can be shown \(.*\); run without a window"):
        until_stopped(sink, make_result)
    sink.close()


def test_without_a_display_there_is_one_line(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError, match=r"window: no display \(\$DISPLAY is not set\); run without a window"):
        WindowSink()


def test_a_display_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":7731")
    with pytest.raises(SinkError, match=r"no window can be shown \(.*could not connect to display :7731"):
        WindowSink()


def test_an_opencv_without_windows_is_one_line(monkeypatch):
    monkeypatch.setattr("cv2.currentUIFramework", lambda: "")
    with pytest.raises(SinkError, match=r"opencv-python-headless is installed"):
        WindowSink()
