"""Bad input on the command line: one line, the right exit code, nothing lost."""

import errno
import os
import socket
import subprocess
from pathlib import Path

import av
import pytest

from streamseg.scene import SyntheticScene

SMALL = "synthetic?frames=30&size=160x96"


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, 30)
    return path


def write_clip(path, frames):
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", 30, {"preset": "ultrafast", "g": "5", "bf": "0"})
        video.height, video.width, video.pix_fmt = 96, 160, "yuv420p"
        scene = SyntheticScene(1, (96, 160))
        for index in range(frames):
            image, _ = scene.frame(index)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(video.encode(None))


def frames_in(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.slow
def test_a_missing_file(fails):
    assert "missing.mp4: no such file" in fails("run", "missing.mp4", code=3)


@pytest.mark.slow
def test_a_text_file_named_mp4(fails, tmp_path):
    (tmp_path / "notes.mp4").write_text("not a video\n" * 100)
    assert "notes.mp4" in fails("run", "notes.mp4", code=3)


@pytest.mark.slow
def test_a_video_without_frames(fails, tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert "empty.mp4" in fails("run", "empty.mp4", code=3)


@pytest.mark.slow
def test_a_truncated_video_is_processed_as_far_as_it_goes(fails, tmp_path, clip):
    with av.open(str(clip)) as source, av.open(str(tmp_path / "whole.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    whole = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    said = fails("run", "cut.mkv", "-o", "out.mp4", "--jsonl", "out.jsonl", code=3)
    assert "cut.mkv" in said
    assert "decoded" in said
    frames = frames_in(tmp_path / "out.mp4")
    assert 5 <= frames < 30
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == frames


@pytest.mark.slow
def test_an_unreachable_camera(fails):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert f"127.0.0.1:{port}" in fails("run", f"rtsp://me:secret@127.0.0.1:{port}/x", code=3)


@pytest.mark.slow
def test_an_onnx_that_is_no_engine(fails, tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs the extra `models`")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, [1])],
        [onnx.helper.make_tensor_value_info("y", 1, [1])],
    )
    onnx.save(
        onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]),
        tmp_path / "other.onnx",
    )
    said = fails("run", SMALL, "--engine", "other.onnx", code=4)
    assert "other.onnx: not a streamseg engine" in said
    assert "streamseg export" in said


def test_an_output_folder_that_is_not_there(fails):
    assert "mkdir -p nowhere" in fails("run", SMALL, "-o", "nowhere/out.mp4", code=5)


@pytest.mark.slow
def test_an_unknown_class_with_the_nearest(fails):
    assert "did you mean 'person'" in fails("run", SMALL, "--classes", "persn", code=2)


@pytest.mark.slow
def test_an_unknown_key_with_its_path(fails, tmp_path):
    (tmp_path / "run.yaml").write_text("engine: {runtme: torch}\n")
    said = fails("run", SMALL, "--config", "run.yaml", code=2)
    assert "run.yaml: unknown key 'engine.runtme' (did you mean 'runtime'?)" in said


@pytest.mark.slow
def test_a_window_without_a_display(fails, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "display" in fails("run", SMALL, "--show", code=5)


@pytest.mark.slow
def test_a_traceback_is_shown_only_when_asked(streamseg):
    assert "Traceback" in streamseg("run", "missing.mp4", "-vv").stderr


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip() or os.strerror(errno.EPERM)}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_written_playable(fails, small_disk: Path, tmp_path):
    write_clip(tmp_path / "long.mp4", 300)
    out = small_disk / "out.mp4"
    said = fails("run", "long.mp4", "--engine", "shapes", "-o", out, code=5)
    assert f"{out}: the disk is full" in said
    assert 25 < frames_in(out) < 300


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "0", "--engine", "{}"),
        ("certify", "compact", "--against", "compact", "--on", "{}.mp4"),
        ("eval", "{}.onnx", "--data", "d.json"),
        ("data", "check", "{}"),
        ("build", "{}.onnx"),
        ("engines", "{}"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_names_longer_than_a_file_may_have(fails, arguments):
    said = fails(*(argument.format("x" * 300) for argument in arguments), code=2)
    assert (
        said == f"streamseg: {'x' * 60}…: the name is too long for the file system; name a file that is there"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "0", "--config", ""), 2),
        (("eval", "compact", "--against", "", "--data", "d.json"), 4),
        (("export", "x.pth", "-o", "o.onnx", "--size", ""), 2),
    ],
)
def test_an_option_that_is_empty_is_not_left_out(fails, arguments, code):
    fails(*arguments, code=code)
