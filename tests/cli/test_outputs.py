"""Outputs on the command line: none is an input, none is another, none fails only at the end."""

import json
import stat
from pathlib import Path

import av
import pytest

pytestmark = pytest.mark.slow

SMALL = "synthetic?frames=3&size=160x96"


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", 30, {"preset": "ultrafast"})
        video.height, video.width, video.pix_fmt = 96, 160, "yuv420p"
        for _ in range(5):
            container.mux(video.encode(av.VideoFrame(160, 96, "yuv420p")))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("in.mp4", ("--summary", "in.mp4")),
        ("in.mp4", ("-o", "hard.mp4")),
        ("file://{}/in.mp4", ("-o", "in.mp4")),
        ("*.mp4", ("--jsonl", "in.mp4")),
        ("in.mp4", ("--jsonl", "x", "--summary", "./x")),
        ("in.mp4", ("--jsonl", "-", "--summary", "-")),
        ("in.mp4", ("--engine", "e.onnx", "--jsonl", "e.onnx")),
    ],
)
def test_nothing_is_overwritten(fails, clip, tmp_path, source, output):
    (tmp_path / "hard.mp4").hardlink_to(clip)
    (tmp_path / "e.onnx").write_bytes(b"engine")
    before = clip.read_bytes()
    assert "would" in fails("run", source.format(tmp_path), *output, code=2)
    assert clip.read_bytes() == before
    assert (tmp_path / "e.onnx").read_bytes() == b"engine"


@pytest.mark.parametrize("option", ["-o", "--jsonl", "--images", "--summary", "--classes", "--engine"])
def test_a_variable_that_was_not_set_is_refused(fails, option):
    assert "at least 1 character" in fails("run", SMALL, option, "", code=2)


@pytest.mark.parametrize("name", ["no/s.json", "x" * 256, "."])
def test_a_summary_that_cannot_be_written_is_refused_before_the_run(fails, tmp_path, name):
    fails("run", SMALL, "-o", "out.mp4", "--summary", name, code=5)
    assert not (tmp_path / "out.mp4").exists()


def test_the_summary_on_standard_output(streamseg, tmp_path):
    done = streamseg("run", SMALL, "--summary", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"]["synthetic"]["delivered"] == 3
    assert list(tmp_path.iterdir()) == []


def test_the_first_failure_is_told_first_and_the_summarys_after_it(streamseg, clip, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(b"no video")
    done = streamseg("run", "cut.mp4", "--summary", "/dev/full")
    assert done.returncode == 3
    first, second = done.stderr.strip().splitlines()[-2:]
    assert first.startswith("streamseg: cut.mp4: cannot be read")
    assert second == "streamseg: also: /dev/full: the disk is full (No space left on device); free some space"
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_only_what_exists_was_written(streamseg, clip, tmp_path):
    done = streamseg("run", "in.mp4", "gone\x1b[31m.mp4", "-o", "out.mp4", "--summary", "s.json")
    assert done.returncode == 3
    assert json.loads((tmp_path / "s.json").read_text())["outputs"] == ["out-in.mp4"]
    assert done.stderr.count("wrote ") == 1
    assert "\x1b" not in done.stderr


def test_a_file_address_ends(streamseg, clip, tmp_path):
    done = streamseg("run", f"file://{clip}", "--summary", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"]["in"]["delivered"] == 5
