"""`streamseg run` as a process: outputs, summary, signals, a real RTSP server."""

import json
import os
import signal
import subprocess
import sys
import time

import av
import pytest

pytestmark = pytest.mark.slow

SMALL = "synthetic?frames=45&size=320x192&objects=4"


def frames_in(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_the_bundled_engine_runs_and_says_what_it_is(streamseg, tmp_path):
    done = streamseg("run", SMALL, "-o", "out.mp4", "--jsonl", "out.jsonl", "--summary", "sum.json")
    assert done.returncode == 0, done.stderr
    assert "mask AP" in done.stderr
    assert frames_in(tmp_path / "out.mp4") == 45
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 45
    numbers = json.loads((tmp_path / "sum.json").read_text())
    source = numbers["sources"]["synthetic"]
    assert (source["captured"], source["delivered"]) == (45, 45)
    assert numbers["age_ms"]["sink"]["p50_ms"] >= numbers["age_ms"]["segment"]["p50_ms"] > 0
    assert numbers["outputs"] == ["out.mp4", "out.jsonl"]


def test_lines_on_standard_output_are_nothing_but_json(streamseg):
    done = streamseg("run", SMALL, "--max-frames", "5", "--jsonl", "-")
    assert [json.loads(line)["index"] for line in done.stdout.splitlines()] == list(range(5))


@pytest.fixture
def endless(tmp_path):
    """`streamseg run` on a source that never ends, once it has written some lines."""
    command = [sys.executable, "-m", "streamseg", "run", "synthetic?size=320x192", "-o", "out.mp4"]
    process = subprocess.Popen(
        [*command, "--jsonl", "out.jsonl"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while lines_in(tmp_path / "out.jsonl") < 40 and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, process.stderr.read()
    yield process
    process.kill()
    process.communicate()


def lines_in(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_every_output(endless, tmp_path, number, code):
    endless.send_signal(number)
    _, said = endless.communicate(timeout=300)
    assert endless.returncode == code, said
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert frames_in(tmp_path / "out.mp4") == len(lines)
    assert [json.loads(line)["index"] for line in lines] == list(range(len(lines)))
    assert "Traceback" not in said


def test_a_kill_leaves_a_playable_video_and_whole_lines(endless, tmp_path):
    os.kill(endless.pid, signal.SIGKILL)
    endless.communicate(timeout=300)
    data = (tmp_path / "out.jsonl").read_bytes()
    assert data.endswith(b"\n")
    assert all(json.loads(line)["schema"] == 1 for line in data.splitlines())
    assert frames_in(tmp_path / "out.mp4") >= 1


def test_the_demo_scores_itself(streamseg, tmp_path):
    done = streamseg("demo", "--frames", "60")
    assert done.returncode == 0, done.stderr
    assert frames_in(tmp_path / "out" / "demo.mp4") == 60
    assert "identity switches" in done.stdout
    scored = next(line for line in done.stdout.splitlines() if line.startswith("masks"))
    assert float(scored.split("mean IoU ")[1].split()[0]) > 0.5, scored


def test_engines_lists_the_bundled_one(streamseg):
    done = streamseg("engines")
    assert done.returncode == 0
    assert done.stdout.startswith("compact  ")
    assert "person" in done.stdout


def test_doctor_finds_what_the_main_job_needs(streamseg):
    done = streamseg("doctor")
    assert done.returncode == 0, done.stdout
    assert "MISSING" not in done.stdout
    assert "openvino" in done.stdout
