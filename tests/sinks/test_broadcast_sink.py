"""The annotated stream for others: to a real RTSP server that comes and goes, and as HLS that grows."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.errors import ConfigError, SinkError
from streamseg.sinks import broadcast_sink
from streamseg.sinks.broadcast_sink import BroadcastSink
from streamseg.sinks.broadcaster import STUB_AFTER_SECONDS, Broadcast
from streamseg.sinks.h264_writer import Shot
from streamseg.sinks.stub_picture import stub_picture

SECONDS = 30
PAUSE = threading.Event()
"""Never set: to wait a moment."""


class Recorder:
    """A server that keeps what is published to it, and can be killed, frozen and started again."""

    def __init__(self, port: int, file: Path) -> None:
        self.url = f"rtsp://127.0.0.1:{port}/live"
        self.file = file
        script = Path(__file__).parents[1] / "rtsp_recorder.py"
        self._command = ["/usr/bin/python3", str(script), str(port), str(file)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = self._process.stdout.readline()
        if said != "ready\n":
            self.kill()
            pytest.skip(f"needs gst-rtsp-server (tests/install_system_packages.sh): {said}")

    def send(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture
def server(free_port, tmp_path):
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs the system's Python with gst-rtsp-server")
    server = Recorder(free_port, tmp_path / "got.ts")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def shown(make_result):
    """A result of a live source."""

    def make(index, pts_seconds, value=200, hw=(96, 128)):
        image = np.full((*hw, 3), value, np.uint8)
        result = make_result(index, pts_seconds, image=image)
        return replace(result, frame=replace(result.frame, utc_ns=1, utc_from="arrival"))

    return make


def write_until(sink, shown, done, began):
    """Thirty pictures a second, until something is true."""
    until = time.monotonic() + SECONDS
    index = sink.frames
    while not done():
        assert time.monotonic() < until, sink.counters()
        sink.write(shown(index, time.monotonic() - began))
        index += 1
        PAUSE.wait(1 / 30)


def brightness(path: Path) -> list[tuple[float, float]]:
    """Time and mean of each picture."""
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]


@pytest.mark.slow
@pytest.mark.rtsp
def test_a_stub_goes_on_while_the_source_is_away_and_every_picture_arrives(server, shown):
    sink, began = BroadcastSink(server.url, "cam"), time.monotonic()
    write_until(sink, shown, lambda: sink.frames >= 30, began)
    # What the program tells lies in its pipe until the next picture.
    PAUSE.wait(STUB_AFTER_SECONDS + 1.0)
    write_until(sink, shown, lambda: sink.frames >= 45, began)
    sink.close()
    counts = sink.counters()
    assert counts["lost"] == 0
    assert counts["stubs"] >= 3
    server.kill()
    got = brightness(server.file)
    assert abs(len(got) - (45 + counts["stubs"])) <= 2  # the server loses the last with its jitter buffer
    dark = [mean < 120 for _, mean in got]
    assert sum(dark) == counts["stubs"]
    first = dark.index(True)
    assert not any(dark[:first])
    assert not any(dark[first + counts["stubs"] :])
    times = [at for at, _ in got if at is not None]  # the server finds its clock first
    assert len(times) > 40
    steps = np.diff(times[10:])
    assert steps.min() > 0
    assert steps.max() < STUB_AFTER_SECONDS + 0.5


@pytest.mark.slow
@pytest.mark.rtsp
def test_a_server_that_dies_costs_pictures_and_gets_them_again_when_it_is_back(server, shown, caplog):
    sink, began = BroadcastSink(server.url, "cam"), time.monotonic()
    write_until(sink, shown, lambda: sink._said.sent >= 5, began)
    server.kill()
    write_until(sink, shown, lambda: "Connection refused" in caplog.text, began)
    server.start()
    write_until(sink, shown, lambda: "pictures are taken again" in caplog.text, began)
    sent = sink._said.sent
    write_until(sink, shown, lambda: sink._said.sent >= sent + 10, began)
    sink.close()
    counts = sink.counters()
    assert counts["lost"] > 5
    assert counts["lost"] + sink._said.sent == sink.frames
    assert "127.0.0.1" in caplog.records[0].getMessage()


@pytest.mark.slow
@pytest.mark.rtsp
def test_a_server_that_stops_reading_blocks_nobody_for_long(server, make_result, caplog, monkeypatch):
    monkeypatch.setattr(broadcast_sink, "STUCK_SECONDS", 1)
    sink, began = BroadcastSink(server.url, "cam"), time.monotonic()

    def noise(index, pts_seconds):
        image = np.random.default_rng(index % 7).integers(0, 255, (480, 640, 3), np.uint8)
        result = make_result(index, pts_seconds, image=image)
        return replace(result, frame=replace(result.frame, utc_ns=1, utc_from="arrival"))

    write_until(sink, noise, lambda: sink._said.sent >= 5, began)
    server.send(signal.SIGSTOP)
    write_until(sink, noise, lambda: "nothing was taken for 1 s" in caplog.text, began)
    server.send(signal.SIGCONT)
    write_until(sink, noise, lambda: "pictures are taken again" in caplog.text, began)
    sink.close()
    assert sink.counters()["lost"] > 0


def listed(playlist: Path) -> list[str]:
    return [line for line in playlist.read_text(encoding="utf-8").splitlines() if line.endswith(".ts")]


@pytest.mark.slow
def test_a_playlist_can_be_played_while_it_grows_and_forgets_what_is_old(tmp_path, shown):
    playlist = tmp_path / "live.m3u8"
    sink = BroadcastSink(str(playlist), "cam")
    seen = []
    for index in range(900):  # half a minute, as fast as it goes
        sink.write(shown(index, index / 30, value=60 + index % 100))
        if index % 200 == 199 and playlist.exists():
            seen.append(listed(playlist))
            command = ["ffprobe", "-v", "error", "-live_start_index", "0", "-count_packets"]
            command += ["-show_entries", "stream=codec_name,nb_read_packets", "-of", "csv=p=0"]
            command += ["-read_intervals", "%+1", str(playlist)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("h264,")
    sink.close()
    assert sink.counters() == {"lost": 0, "stubs": 0}
    text = playlist.read_text(encoding="utf-8")
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert "#EXT-X-PROGRAM-DATE-TIME:" in text
    assert len(seen) >= 3
    assert seen[0][0] != seen[-1][0]
    on_disk = {path.name for path in tmp_path.iterdir()}
    assert set(listed(playlist)) < on_disk
    assert len(on_disk) <= len(listed(playlist)) + 3
    assert not any(name.endswith((".tmp", ".part")) for name in on_disk)
    with av.open(str(playlist), options={"live_start_index": "0"}) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 300

    again = BroadcastSink(str(playlist), "cam")
    for index in range(150):
        again.write(shown(index, index / 30))
    again.close()
    text = playlist.read_text(encoding="utf-8")
    assert text.count("#EXT-X-DISCONTINUITY") == 1
    assert set(listed(playlist)) & set(seen[-1]) or listed(playlist)[0] > seen[-1][0]


@pytest.mark.slow
def test_a_full_disk_costs_pictures_of_the_playlist_until_there_is_room(tiny_disk, make_result, caplog):
    sink, began = BroadcastSink(str(tiny_disk / "live.m3u8"), "cam"), time.monotonic()
    filler = tiny_disk / "filler"
    filler.write_bytes(bytes(250_000))

    def noise(index, pts_seconds):
        image = np.random.default_rng(index % 7).integers(0, 255, (96, 128, 3), np.uint8)
        result = make_result(index, pts_seconds, image=image)
        return replace(result, frame=replace(result.frame, utc_ns=1, utc_from="arrival"))

    write_until(sink, noise, lambda: "No space left on device; pictures are lost" in caplog.text, began)
    for path in (filler, *tiny_disk.glob("*.ts")):
        path.unlink(missing_ok=True)
    write_until(sink, noise, lambda: "pictures are taken again" in caplog.text, began)
    sink.close()
    assert sink.counters()["lost"] > 0


def test_the_stub_is_the_last_picture_darkened_with_words_on_it():
    last = np.full((240, 320, 3), 200, np.uint8)
    stub = stub_picture(last, "front door", 0.0, 61.0)
    assert stub.shape == last.shape
    assert (last == 200).all()
    assert np.median(stub) == 70
    assert (stub.max(axis=2) > 240).sum() > 500
    assert not np.array_equal(stub, stub_picture(last, "front door", 0.0, 62.0))
    tiny = stub_picture(np.full((16, 16, 3), 200, np.uint8), "ü" * 300, 0.0, 1.0)
    assert tiny.shape == (16, 16, 3)


def test_a_file_is_given_out_at_its_own_pace_and_a_camera_at_once(monkeypatch):
    slept = []
    monkeypatch.setattr("streamseg.sinks.broadcaster.time.sleep", slept.append)
    broadcast = Broadcast("rtsp://127.0.0.1:9/none", "cam", 5)
    image = np.zeros((16, 16, 3), np.uint8)
    broadcast.show(Shot(image, 10.0), paced=False)
    assert slept == []
    assert broadcast.wait_s() == pytest.approx(STUB_AFTER_SECONDS, abs=0.5)
    broadcast = Broadcast("rtsp://127.0.0.1:9/none", "clip", 5)
    broadcast.show(Shot(image, 10.0), paced=True)
    broadcast.show(Shot(image, 10.5), paced=True)
    assert slept[0] == 0
    assert slept[1] == pytest.approx(0.5, abs=0.3)
    assert broadcast.wait_s() is None
    assert broadcast.said.trouble == "Connection refused"


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("rtmp://host/live", ConfigError, "-o rtmp://host/live: a stream goes to rtsp://HOST/PATH, or to a"),
        ("rtsp:///live", ConfigError, "a stream goes to rtsp://HOST/PATH"),
        ("rtsp://u:hidden@host:port/live", ConfigError, r"-o rtsp://u:\*\*\*@host:port/live: the port"),
        ("no/such/folder/live.m3u8", SinkError, "the folder no/such/folder does not exist"),
    ],
)
def test_what_cannot_be_is_said_before_the_first_picture(address, error, said):
    with pytest.raises(error, match=said) as caught:
        BroadcastSink(address, "cam")
    assert "hidden" not in str(caught.value)
