"""`streamseg build` and `run --rebuild` as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streamseg.engines.fingerprint import read_fingerprint
from streamseg.engines.sidecar import sidecar_path

trt = pytest.importorskip(
    "tensorrt", reason="needs TensorRT or TensorRT-RTX (tests/install_tensorrt_host.sh)"
)
pytest.importorskip("onnx", reason="needs the extra `models`")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(trt, "ComputeCapability"), reason="for hosts without a GPU, where TensorRT-RTX builds"
    ),
]


def streamseg(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streamseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three pictures."""
    import cv2

    from streamseg.export.check import sample_frames

    folder = tmp_path_factory.mktemp("clip")
    for i, frame in enumerate(sample_frames((64, 96))):
        cv2.imwrite(str(folder / f"{i}.png"), frame)
    return folder


def test_a_recipe_becomes_an_engine(tiny_engine_path: Path, clip: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"model: {tiny_engine_path}\nprecision: mixed\nbatch: [1, 2, 2]\nframes: 2\n")
    done = streamseg("build", recipe, "--calibrate", clip)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert done.stdout.startswith(f"{tmp_path}/mine.engine: built")
    fingerprint = read_fingerprint(tmp_path / "mine.engine")
    assert (fingerprint.options.precision, fingerprint.options.calibrate) == ("mixed", str(clip))
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["mine.engine", "mine.engine.json", "mine.yaml"]


def test_int8_for_the_cpu(tiny_engine_path: Path, clip: Path, tmp_path: Path) -> None:
    done = streamseg(
        "build", tiny_engine_path, "-o", tmp_path / "cpu.onnx", "--precision", "int8", "--calibrate", clip
    )
    assert done.returncode == 0, done.stderr
    run = streamseg(
        "run",
        clip,
        "--engine",
        tmp_path / "cpu.onnx",
        "--runtime",
        "onnxruntime",
        "--jsonl",
        tmp_path / "a.jsonl",
    )
    assert run.returncode == 0, run.stderr
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) >= 2


def test_inspect_prints_and_writes_nothing(tiny_engine_path: Path, tmp_path: Path) -> None:
    done = streamseg("build", tiny_engine_path, "--inspect", "-o", tmp_path / "a.engine")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.split()[:2] == ["fp16", "CONVOLUTION"] for line in lines)
    assert any(line.split()[:2] == ["fp32", "TOPK"] for line in lines)
    assert not list(tmp_path.iterdir())


def test_run_rebuilds_a_stale_engine(tiny_engine_path: Path, tmp_path: Path) -> None:
    """It then asks for a GPU, which is not here; what is there is an engine of this machine."""
    engine = tmp_path / "a.engine"
    assert streamseg("build", tiny_engine_path, "-o", engine, "--precision", "bf16").returncode == 0
    sections = json.loads(sidecar_path(engine).read_text())
    sections["fingerprint"]["machine"]["tensorrt"] = "1.6.0.0"
    sidecar_path(engine).write_text(json.dumps(sections))

    done = streamseg("run", "synthetic", "--engine", engine, "--rebuild", "--max-frames", "1")
    assert "built with TensorRT-RTX 1.6.0.0, here is TensorRT-RTX" in done.stderr
    assert "building it again" in done.stderr
    assert "needs an NVIDIA GPU" in done.stderr.splitlines()[-1]
    fingerprint = read_fingerprint(engine)
    assert (fingerprint.machine.tensorrt, fingerprint.options.precision) == (trt.__version__, "bf16")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["compact", "--precision", "fp8"], 2, "precision: input should be 'fp32', 'fp16', 'bf16'"),
        (["compact", "--precision", "int8"], 2, "precision int8: needs --calibrate CLIP"),
        (["compact", "--batch", "4"], 2, "batch"),
        (["compact", "-o", "a.plan"], 2, "a.plan: an engine ends in .engine"),
        (["compact", "-o", "a.onnx"], 2, "a.onnx: for the CPU, int8 and mixed are built"),
        (["compakt"], 4, "did you mean 'compact'?"),
        (["none.yaml"], 2, "none.yaml: cannot read the configuration"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], code: int, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = streamseg("build", *arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("streamseg: ")
    assert len(done.stderr.splitlines()) == 1
    assert complaint in done.stderr
    assert not list(tmp_path.iterdir())
