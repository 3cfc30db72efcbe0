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
