"""Finding engine files, reading what they say, and refusing everything else in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamseg.engines.load import RUNTIMES, available_runtimes, load_engine
from streamseg.engines.locate import find_engine, list_engines, read_info
from streamseg.engines.openvino_engine import OpenVinoEngine
from streamseg.errors import ConfigError, EngineError, MissingDependency, NotAnEngine

onnx = pytest.importorskip("onnx", reason="needs the extra `models`")


def without_metadata(path: Path, into: Path) -> Path:
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, into)
    return into


def changed(path: Path, into: Path, **entries: str) -> Path:
    model = onnx.load(path)
    for prop in model.metadata_props:
        name = prop.key.removeprefix("streamseg.")
        prop.value = entries.get(name, prop.value)
    onnx.save(model, into)
    return into


def test_a_path_is_an_engine_name(tiny_engine_path: Path) -> None:
    assert find_engine(tiny_engine_path) == tiny_engine_path
    assert find_engine(str(tiny_engine_path)) == tiny_engine_path
    assert str(tiny_engine_path) in list_engines(tiny_engine_path.parent)


def test_unknown_name_gets_a_suggestion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / "compact.onnx").touch()
    monkeypatch.setattr("streamseg.engines.locate.files", lambda package: tmp_path)
    assert find_engine("compact") == tmp_path / "bundled" / "compact.onnx"
    with pytest.raises(EngineError, match=r"^compcat: no such engine file; did you mean 'compact'\?$"):
        find_engine("compcat")
    with pytest.raises(EngineError, match=r"^x/resnet.onnx: no such engine file; bundled engines: compact$"):
        find_engine("x/resnet.onnx")
    with pytest.raises(EngineError, match="a folder; name an engine file in it"):
        find_engine(tmp_path)


def test_text_named_onnx(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("dear diary\n")
    with pytest.raises(
        NotAnEngine, match=r"notes.onnx: not a whole ONNX file, or damaged .*; make one with: .*"
    ):
        read_info(path)


def test_truncated_onnx(tiny_engine_path: Path, tmp_path: Path) -> None:
    content = tiny_engine_path.read_bytes()
    for part in (0.0, 0.1, 0.5, 0.999):
        path = tmp_path / f"cut{part}.onnx"
        path.write_bytes(content[: int(len(content) * part)])
        for runtime in ("auto", "openvino", "onnxruntime"):
            with pytest.raises(NotAnEngine) as caught:
                load_engine(path, runtime)
            assert "\n" not in str(caught.value)


def test_onnx_without_metadata(tiny_engine_path: Path, tmp_path: Path) -> None:
    path = without_metadata(tiny_engine_path, tmp_path / "bare.onnx")
    with pytest.raises(NotAnEngine, match=r"bare.onnx: .*streamseg export MODEL -o OUT.onnx"):
        load_engine(path)


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"contract": "9"}, "engine contract '9'"),
        ({"resize": "squash"}, "damaged streamseg metadata"),
        ({"classes": "no json"}, "damaged streamseg metadata"),
    ],
)
def test_metadata_that_cannot_be_used(
    tiny_engine_path: Path, tmp_path: Path, entries: dict[str, str], text: str
) -> None:
    path = changed(tiny_engine_path, tmp_path / "odd.onnx", **entries)
    with pytest.raises(NotAnEngine, match=text):
        read_info(path)


def test_metadata_on_another_graph(tiny_engine_path: Path, tmp_path: Path) -> None:
    """Right words on a graph with other tensors."""
    model = onnx.load(tiny_engine_path)
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    other = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [value],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    model.graph.CopyFrom(other)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(NotAnEngine, match="its tensors are not those of the engine contract"):
        read_info(tmp_path / "other.onnx")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none.onnx", r"none.onnx: no such file"),
        (
            "weights.safetensors",
            r"engines are .onnx files \(.engine for TensorRT, .pth for torch\), not .saf",
        ),
    ],
)
@pytest.mark.parametrize("runtime", ["auto", "openvino", "onnxruntime"])
def test_other_files(tmp_path: Path, name: str, text: str, runtime: str) -> None:
    if name != "none.onnx":
        (tmp_path / name).write_bytes(b"\0" * 100)
    with pytest.raises(EngineError, match=text):
        load_engine(tmp_path / name, runtime)


def test_auto_takes_the_fastest_that_is_here(tiny_engine_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with load_engine(tiny_engine_path) as engine:
        assert engine.runtime.startswith("openvino ")
    monkeypatch.setattr("streamseg.engines.load._installed", lambda name: name != "openvino")
    with load_engine(tiny_engine_path) as engine:
        assert engine.runtime.startswith("onnxruntime ")
        assert engine.runtime.endswith(" FP32")
    with pytest.raises(MissingDependency, match=r"runtime openvino: not installed; pip install streamseg"):
        load_engine(tiny_engine_path, "openvino")
    monkeypatch.setattr("streamseg.engines.load._installed", lambda name: False)
    with pytest.raises(MissingDependency, match="no runtime for it is installed; pip install streamseg"):
        load_engine(tiny_engine_path)


def test_checkpoint_goes_to_torch(tiny_checkpoint: Path, tiny_engine_path: Path) -> None:
    with load_engine(tiny_checkpoint) as engine:
        assert engine.runtime.startswith("torch ")
        assert engine.info == read_info(tiny_checkpoint)
    with pytest.raises(EngineError, match=r"runtime openvino reads .onnx files"):
        load_engine(tiny_checkpoint, "openvino")
    with pytest.raises(EngineError, match=r"runtime torch reads .pth files"):
        load_engine(tiny_engine_path, "torch")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"runtime": "openvno"}, r"runtime 'openvno': unknown; did you mean 'openvino'\?"),
        ({"precision": "fp8"}, "precision 'fp8': openvino has auto, bf16, fp32"),
        ({"runtime": "onnxruntime", "precision": "bf16"}, "precision 'bf16': onnxruntime has auto and fp32"),
    ],
)
def test_options_no_runtime_has(tiny_engine_path: Path, options: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load_engine(tiny_engine_path, **options)


def test_runtimes_are_listed() -> None:
    statuses = available_runtimes()
    assert [status.name for status in statuses] == list(RUNTIMES)
    assert list(RUNTIMES) == ["tensorrt", "openvino", "onnxruntime", "torch"]
    assert all(status.available != bool(status.cure) for status in statuses)


def in_fresh_process(code: str, path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_reading_info_needs_neither_torch_nor_onnx(tiny_engine_path: Path) -> None:
    code = (
        "import sys; from streamseg.engines.locate import read_info; info = read_info(sys.argv[1]);"
        "print(info.model, {'torch', 'onnx', 'openvino'} & set(sys.modules))"
    )
    assert in_fresh_process(code, tiny_engine_path) == "yolact_lite set()"


@pytest.mark.slow
def test_openvino_starts_without_its_usage_report(tiny_engine_path: Path) -> None:
    code = (
        "import sys, threading; from streamseg.engines.load import load_engine;"
        "load_engine(sys.argv[1], 'openvino').close();"
        "print(threading.active_count(), 'openvino_telemetry' in sys.modules)"
    )
    assert in_fresh_process(code, tiny_engine_path) == "1 False"


@pytest.mark.slow
def test_broken_cache_is_made_anew(tiny_engine_path: Path, tmp_path: Path) -> None:
    """A start that was killed while it wrote the cache must not spoil those after it."""
    frames = np.full((1, 64, 96, 3), 90, np.uint8)
    with OpenVinoEngine(tiny_engine_path, precision="fp32", cache_dir=tmp_path) as engine:
        expected = engine.infer(frames).scores.copy()
    [blob] = tmp_path.rglob("*.blob")
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[: blob.stat().st_size // 2])
    with OpenVinoEngine(tiny_engine_path, precision="fp32", cache_dir=tmp_path) as engine:
        np.testing.assert_array_equal(engine.infer(frames).scores, expected)
