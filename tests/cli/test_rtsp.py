"""`streamseg run rtsp://…` against a real server that dies and comes back."""

import json
import signal
import subprocess
import sys
import time

import av
import pytest

pytestmark = [pytest.mark.rtsp, pytest.mark.slow]


def lines_of(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def wait_for_line(path, wanted, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for line in reversed(lines_of(path)):
            if wanted(line):
                return line
        time.sleep(0.1)
    pytest.fail(f"{len(lines_of(path))} lines, none as wanted")


def test_a_stream_is_followed_across_the_death_of_its_server(rtsp_server, tmp_path):
    rtsp_server.start(320, 240)
    data, summary = tmp_path / "out.jsonl", tmp_path / "sum.json"
    arguments = ["run", rtsp_server.url, "-o", "out.mp4", "--jsonl", data, "--summary", summary]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamseg", *map(str, arguments)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        before = wait_for_line(data, lambda line: line["index"] >= 20)
        rtsp_server.kill()
        time.sleep(1)
        rtsp_server.start(640, 480)
        after = wait_for_line(data, lambda line: line["index"] > before["index"] + 60)
        assert after["pts"] > before["pts"]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=240)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130, said
    numbers = json.loads(summary.read_text())
    (source,) = numbers["sources"].values()
    assert source["reconnects"] >= 1
    assert source["captured"] == source["delivered"] + sum(source["dropped"].values())
    lines = lines_of(data)
    assert [line["pts"] for line in lines] == sorted({line["pts"] for line in lines})
    with av.open(str(tmp_path / "out.mp4")) as container:
        sizes = {(frame.width, frame.height) for frame in container.decode(video=0)}
    assert sizes == {(320, 240)}


def test_sigterm_while_reconnecting_finishes_the_outputs(rtsp_server, tmp_path):
    rtsp_server.start(320, 240)
    data = tmp_path / "out.jsonl"
    command = [
        sys.executable,
        "-m",
        "streamseg",
        "run",
        rtsp_server.url,
        "-o",
        "out.mp4",
        "--jsonl",
        str(data),
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_line(data, lambda line: line["index"] >= 10)
        rtsp_server.kill()
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=240)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 143, said
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(list(container.decode(video=0))) == len(lines_of(data))


def test_so_many_frames_of_each_camera_and_of_a_file(rtsp_server, streamseg, tmp_path):
    rtsp_server.start(320, 240)
    asked = "--max-frames", "8", "--jsonl", "out.jsonl", "--summary", "sum.json"
    done = streamseg("run", rtsp_server.url, rtsp_server.url, "synthetic?size=160x96", *asked, timeout=120)
    assert done.returncode == 0, done.stderr
    sources = json.loads((tmp_path / "sum.json").read_text())["sources"].values()
    assert [source["sinks"]["jsonl"] for source in sources] == [8, 8, 8]
    assert len(lines_of(tmp_path / "out.jsonl")) == 24
