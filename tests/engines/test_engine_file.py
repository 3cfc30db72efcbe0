"""One reading of an engine file serves all who need it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra `models`")

from streamseg.engines import engine_file, fingerprint
from streamseg.engines.engine_file import CheckpointFile, OnnxFile, PlanFile, open_engine_file
from streamseg.engines.load import load_engine
from streamseg.errors import ConfigError, EngineError
from streamseg.files import file_sha256
from tests.engines.tiny_onnx import HW, rows, write


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[object]:
    """Calls of `module.name`, which goes on working."""
    calls: list[object] = []
    real: Callable[..., Any] = getattr(module, name)

    def counting(*arguments: Any) -> Any:
        calls.append(arguments[0])
        return real(*arguments)

    monkeypatch.setattr(module, name, counting)
    return calls


@pytest.mark.parametrize("runtime", ["auto", "openvino", "onnxruntime"])
def test_an_open_onnx_file_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    path = write(tmp_path / "e.onnx", rows())
    headers = counted(monkeypatch, engine_file, "read_onnx_header")
    hashes = counted(monkeypatch, engine_file, "file_sha256")
    file = open_engine_file(path)
    assert file.sha256 == file_sha256(path)
    with load_engine(file, runtime) as engine:
        engine.infer(np.zeros((2, *HW, 3), np.uint8))
        assert engine.info is file.info
    assert file.sha256
    assert (headers, hashes) == ([path], [path])
    assert isinstance(file, OnnxFile)


def test_a_checkpoint_is_loaded_once(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamseg.models.weights import checkpoint

    loads = counted(monkeypatch, checkpoint, "load_checkpoint")
    file = open_engine_file(tiny_checkpoint)
    assert isinstance(file, CheckpointFile)
    with load_engine(file) as engine:
        assert engine.info is file.info
    assert len(loads) == 1
    assert file.take_module() is not file.take_module()  # given away; then it must be loaded again
    assert len(loads) == 3


def test_names_of_files_may_be_anything(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """What an engine says of its checkpoint can be shown."""
    path = tmp_path / "esc\x1b[31m\udcff.pth"
    path.write_bytes(tiny_checkpoint.read_bytes())
    assert open_engine_file(path).info.checkpoint == r"esc\x1b[31m\udcff.pth"


def test_a_plan_is_hashed_once(
    tmp_path: Path, tiny_engine_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.engines.test_fingerprint import H200, INFO, OPTIONS

    path = tmp_path / "a.engine"
    path.write_bytes(b"plan")
    found = fingerprint.Fingerprint(INFO, H200, OPTIONS, "a.onnx", "ab" * 32, file_sha256(path))
    fingerprint.write_fingerprint(path, found)
    checked = counted(monkeypatch, fingerprint, "file_sha256")
    again = counted(monkeypatch, engine_file, "file_sha256")
    file = open_engine_file(path)
    assert isinstance(file, PlanFile)
    assert (file.sha256, file.info) == (found.engine_sha256, INFO)
    assert (checked, again) == ([path], [])


def test_a_refusal_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`auto` goes on with the next runtime, and does not hide that it did."""
    from streamseg.engines import openvino_engine

    path = write(tmp_path / "e.onnx", rows())

    def refuse(*_: object) -> str:
        raise EngineError("precision bf16: this CPU does not have it; use auto or fp32")

    with caplog.at_level(logging.WARNING), load_engine(path) as engine:
        assert engine.runtime_name == "openvino"
    assert caplog.messages == []
    monkeypatch.setattr(openvino_engine, "_precision", refuse)
    with caplog.at_level(logging.WARNING), load_engine(path) as engine:
        assert engine.runtime_name == "onnxruntime"
    assert caplog.messages == [
        f"{path} runs in onnxruntime instead: precision bf16: this CPU does not have it; use auto or fp32"
    ]
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="precision 'int8': openvino has"):
        load_engine(path, precision="int8")


def test_a_graph_that_openvino_cannot_read_goes_to_onnx_runtime(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator that it has no rule for: a real refusal."""
    import onnx

    path = write(tmp_path / "e.onnx", rows())
    model = onnx.load(path)
    node = next(node for node in model.graph.node if node.output[0] == "scores")
    node.output[0] = "scores_in"
    text = onnx.helper.make_node("RegexFullMatch", ["word"], ["matches"], pattern=".*")
    word = onnx.helper.make_tensor("word", onnx.TensorProto.STRING, [1], [b"a"])
    model.graph.initializer.append(word)
    number = onnx.helper.make_node("Cast", ["matches"], ["one_f"], to=onnx.TensorProto.FLOAT)
    last = onnx.helper.make_node("Mul", ["scores_in", "one_f"], ["scores"])
    model.graph.node.extend([text, number, last])
    onnx.save(model, path)
    with caplog.at_level(logging.WARNING), load_engine(path) as engine:
        assert engine.runtime_name == "onnxruntime"
        assert engine.infer(np.zeros((1, *HW, 3), np.uint8)).scores[0, 0] == pytest.approx(0.9)
    (said,) = caplog.messages
    assert said.startswith(f"{path} runs in onnxruntime instead: {path}: OpenVINO cannot load it (")


def test_files_for_another_runtime(tmp_path: Path, tiny_checkpoint: Path) -> None:
    from streamseg.engines.torch_engine import TorchEngine

    path = write(tmp_path / "e.onnx", rows())
    with pytest.raises(EngineError, match=r"e.onnx: runtime torch reads .pth files"):
        TorchEngine(path)
    with pytest.raises(EngineError, match=r"runtime openvino reads .onnx files"):
        load_engine(open_engine_file(tiny_checkpoint), "openvino")
