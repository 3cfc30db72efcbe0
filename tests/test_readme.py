"""What README.md and docs/ promise: every command runs, every link leads somewhere."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.evaluation.scenes import write_scenes
from streamseg.records.header import RunHeader
from streamseg.scene import SyntheticScene
from streamseg.sinks.record_sink import RecordSink
from streamseg.structures import Frame, Instances, Result, Tracks

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
STREAMSEG = [line for line in COMMANDS if line.startswith("streamseg ")]
# What a test machine lacks, or takes too long with, and what stands in for it.
STAND_INS = {"rtsp://camera/stream": "a.mp4", "rtsp://gate/stream": "b.mp4", "0": "b.mp4"}
STAND_INS |= {"yolact_r50": "yolact_lite", "127.0.0.1:8080": "127.0.0.1:0"}


@pytest.fixture
def folder(tmp_path):
    """A working folder with the files that the README's examples name."""
    scene = SyntheticScene(1, (96, 160), 4)
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        video = container.add_stream("libx264", 30)
        video.height, video.width, video.pix_fmt = 96, 160, "yuv420p"
        for index in range(12):
            image, _ = scene.frame(index)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(video.encode(None))
    record_of(tmp_path / "clip.mp4", tmp_path / "run.rec")
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(tmp_path / "clip.mp4", tmp_path / name)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "engines").mkdir()
    (tmp_path / "parts" / "images").mkdir(parents=True)
    write_scenes(tmp_path / "parts" / "images", 2, (96, 160))
    (tmp_path / "parts" / "images" / "instances.json").rename(tmp_path / "parts" / "instances.json")
    return tmp_path


def record_of(clip, path):
    """What `run --record` writes, of an engine that finds nothing."""
    sink = RecordSink(path)
    sink.describe(RunHeader(("person",)), lambda _: str(clip))
    found = Instances.empty((96, 160))
    for index in range(12):
        frame = Frame(np.zeros((96, 160, 3), np.uint8), index, index / 30, 0, "clip")
        sink.write(Result(frame, found, Tracks.untracked(found), ("person",)))
    sink.close()


def run(line, folder):
    words = [STAND_INS.get(word, word) for word in shlex.split(line)[1:]]
    command = [sys.executable, "-m", "streamseg", *words]
    if "--show" in words:
        if not shutil.which("xvfb-run"):
            pytest.skip("needs xvfb-run for a window (Debian package xvfb)")
        command = ["xvfb-run", "-a", *command]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)


@pytest.mark.slow
@pytest.mark.parametrize("line", [c for c in STREAMSEG if "yolact" not in c])
def test_commands_run(line, folder):
    done = run(line, folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_way_from_published_weights_to_a_video(folder):
    torch = pytest.importorskip("torch", reason="needs the extra `models`")
    from streamseg.models.yolact.catalog import build_model

    torch.save(build_model("yolact_lite").state_dict(), folder / "yolact_resnet50_54_800000.pth")
    lines = [c for c in STREAMSEG if "yolact" in c]
    assert [line.split()[1] for line in lines] == ["export", "run"]
    for line in lines:
        done = run(line, folder)
        assert done.returncode == 0, done.stderr
    assert (folder / "annotated.mp4").stat().st_size > 0


@pytest.mark.slow
def test_the_python_example_runs(folder):
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "annotated.mp4").stat().st_size > 0


def test_the_other_commands_exist():
    others = [line for line in COMMANDS if line not in STREAMSEG]
    assert others == ["make demo", "pip install 'streamseg[models]'", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)
    assert "models = [" in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"
