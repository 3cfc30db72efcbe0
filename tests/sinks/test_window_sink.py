"""On a virtual display whose pixels are read straight from the X server's memory."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from streamseg.errors import SinkError
from streamseg.sinks.window_sink import WindowSink


@pytest.fixture
def screen(tmp_path, monkeypatch):
    """$DISPLAY names an Xvfb; calling the fixture gives its picture, (600, 1000, 3) BGR."""
    if not shutil.which("Xvfb"):
        pytest.skip("needs Xvfb")
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "1000x600x24", "-fbdir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    monkeypatch.setenv("DISPLAY", f":{server.stdout.readline().strip()}")

    def picture() -> np.ndarray:
        dump = (tmp_path / "Xvfb_screen0").read_bytes()  # an XWD file: 25 words of header, big endian
        header = np.frombuffer(dump, ">u4", 25)
        start = int(header[0]) + 12 * int(header[19])
        return np.frombuffer(dump, np.uint8, 600 * 1000 * 4, start).reshape(600, 1000, 4)[..., :3]

    yield picture
    server.terminate()
    server.wait(10)
    server.stdout.close()


# In a process of its own: Qt lives and dies with the display it first saw. In a second thread, as in
# the pipeline.
SHOWING = """
import sys, time
from threading import Thread
import numpy as np
sys.path.insert(0, sys.argv[1])
from conftest import result
from streamseg.sinks.window_sink import WindowSink

def show():
    sink = WindowSink()
    image = np.full((300, 400, 3), (200, 40, 90), np.uint8)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not sink.stop_requested:
        sink.write(result(image=image))
        print("shown", flush=True)
        time.sleep(0.02)
    sink.write(result(image=image))
    sink.close()
    sink.close()
    print("stopped" if sink.stop_requested else "not stopped", flush=True)

thread = Thread(target=show)
thread.start()
thread.join()
"""


@pytest.fixture
def showing(screen):
    process = subprocess.Popen(
        [sys.executable, "-c", SHOWING, str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for _ in range(10):
        assert process.stdout.readline() == "shown\n"
    yield process
    process.kill()
    process.wait(10)
    process.stdout.close()


def covered(picture: np.ndarray) -> int:
    return int((picture == (200, 40, 90)).all(2).sum())


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_canvas_is_on_the_screen(screen, showing):
    until(lambda: covered(screen()) > 0.95 * 300 * 400)


@pytest.mark.parametrize("key", ["q", "Escape"])
def test_a_key_requests_the_end_and_the_window_goes(screen, showing, key):
    if not shutil.which("xdotool"):
        pytest.skip("needs xdotool")
    subprocess.run(["xdotool", "search", "--name", "streamseg: cam", "windowfocus", "key", key], check=True)
    assert showing.stdout.read().splitlines()[-1] == "stopped"
    assert showing.wait(10) == 0


def test_closing_the_window_requests_the_end(screen, showing):
    if not (shutil.which("openbox") and shutil.which("wmctrl")):
        pytest.skip("needs openbox and wmctrl")
    manager = subprocess.Popen(["openbox"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: subprocess.run(["wmctrl", "-c", "streamseg: cam"], capture_output=True).returncode == 0)
        assert showing.stdout.read().splitlines()[-1] == "stopped"
        assert showing.wait(10) == 0
    finally:
        manager.terminate()
        manager.wait(10)


def test_without_a_display_there_is_one_line(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError, match=r"window: no display \(\$DISPLAY is not set\); run without a window"):
        WindowSink()


def test_a_display_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":7731")
    with pytest.raises(SinkError, match=r"no window can be opened \(.*could not connect to display :7731"):
        WindowSink()


def test_an_opencv_without_windows_is_one_line(monkeypatch):
    monkeypatch.setattr("cv2.currentUIFramework", lambda: "")
    with pytest.raises(SinkError, match=r"opencv-python-headless is installed"):
        WindowSink()
