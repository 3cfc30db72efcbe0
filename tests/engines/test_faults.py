"""Engine files that are damaged, hostile or of another contract: one line, and before any frame where
the file itself shows it. All go through the real load path."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx", reason="needs the extra `models`")

from onnx import TensorProto

from streamseg.cli import app
from streamseg.engines.load import load_engine
from streamseg.engines.locate import list_engines, read_info
from streamseg.engines.metadata import metadata_from_info
from streamseg.errors import EngineError, NotAnEngine, StreamsegError
from tests.engines.tiny_onnx import HW, INFO, K, rows, write

FRAMES = np.zeros((2, *HW, 3), np.uint8)
NO_SUCH = {"boxes": ["B", "n", "m"], "scores": ["B", "n"], "count": None}


def cast(name: str, dtype: str) -> dict[str, Any]:
    return {name: rows()[name].astype(dtype)}


WRONG_TENSORS = [
    pytest.param(
        cast("classes", "int64"), "classes", "int64 (B, 3), expected int32 (B, 3)", id="classes_i64"
    ),
    pytest.param(cast("classes", "f4"), "classes", "float32 (B, 3), expected int32 (B, 3)", id="classes_f32"),
    pytest.param(
        cast("boxes", "f8"), "boxes", "float64 (B, 3, 4), expected float32 (B, 3, 4)", id="boxes_f64"
    ),
    pytest.param(
        cast("masks", "f4"), "masks", "float32 (B, 3, 4, 6), expected uint8 (B, 3, mh, mw)", id="masks_f32"
    ),
    pytest.param(cast("scores", "i4"), "scores", "int32 (B, 3), expected float32 (B, 3)", id="scores_i32"),
    pytest.param(
        {"boxes": np.zeros((K, 8), np.float32)},
        "boxes",
        "float32 (B, 3, 8), expected float32 (B, 3, 4)",
        id="boxes8",
    ),
    pytest.param(
        {"scores": np.zeros(5, np.float32)}, "scores", "float32 (B, 5), expected float32 (B, 3)", id="scores5"
    ),
    pytest.param(
        {"count": np.zeros(1, np.int32)}, "count", "int32 (B, 1), expected int32 (B,)", id="count_of_rank_2"
    ),
]


@pytest.mark.parametrize(("changes", "name", "text"), WRONG_TENSORS)
def test_declared_tensors_are_checked_when_the_file_is_opened(
    tmp_path: Path, changes: dict[str, Any], name: str, text: str
) -> None:
    path = write(tmp_path / "wrong.onnx", rows(**changes))
    with pytest.raises(NotAnEngine) as caught:
        read_info(path)
    assert str(caught.value) == (
        f"{path}: its tensors are not those of the engine contract: {name} is {text};"
        " make one with: streamseg export MODEL -o OUT.onnx"
    )


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"boxes": np.zeros((K, 8), np.float32)}, "boxes is float32 (2, 3, 8), expected float32 (2, 3, 4)"),
        ({"scores": np.zeros(5, np.float32)}, "scores is float32 (2, 5), expected float32 (2, 3)"),
        ({"count": np.zeros(1, np.int32)}, "count is int32 (2, 1), expected int32 (2,)"),
        ({"count": np.int32(1000)}, "count is 1000, expected 0 to 3"),
        ({"count": np.int32(-3)}, "count is -3, expected 0 to 3"),
    ],
    ids=["boxes8", "scores5", "count_of_rank_2", "count_above_k", "count_below_0"],
)
def test_what_a_file_leaves_open_is_checked_on_the_first_result(
    tmp_path: Path, runtime: str, changes: dict[str, Any], text: str
) -> None:
    kinds = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "count": TensorProto.INT32}
    declared: Any = {name: (kinds[name], NO_SUCH[name]) for name in changes}
    path = write(tmp_path / "open.onnx", rows(**changes), declared=declared)
    with load_engine(path, runtime, "fp32", 1) as engine:
        with pytest.raises(EngineError) as caught:
            engine.infer(FRAMES)
        assert str(caught.value) == f"tiny ({engine.runtime}): output {text}; export it again"


def test_a_scalar_count(tmp_path: Path) -> None:
    """No batch axis at all: made by hand, since every output of `write` has one."""
    onnx = pytest.importorskip("onnx")
    path = write(tmp_path / "scalar.onnx", rows())
    model = onnx.load(path)
    squeezed = next(node for node in model.graph.node if node.output[0] == "count")
    squeezed.CopyFrom(onnx.helper.make_node("Constant", [], ["count"], value_int=1))
    count = next(output for output in model.graph.output if output.name == "count")
    count.CopyFrom(onnx.helper.make_tensor_value_info("count", TensorProto.INT64, []))
    onnx.save(model, path)
    with pytest.raises(NotAnEngine, match=r"count is int64 \(\), expected int32 \(B,\)"):
        load_engine(path)


HOSTILE_METADATA = {
    "no_classes": {"classes": "[]"},
    "classes_a_text": {"classes": '"ab"'},
    "classes_a_dict": {"classes": '{"cat": 0}'},
    "deep": {"classes": "[" * 100_000},
    "pad_999": {"pad": "1,2,999"},
    "surrogate": {"classes": '["\\ud800", "b"]'},
    "escapes_in_a_class": {"classes": '["\\u001b[31mcat", "b"]'},
    "escapes_in_the_model": {"model": "\x1b]0;owned\x07"},
    "another_k": {"max_detections": "7"},
    "contract_99": {"contract": "99"},
    "promptable": {"kind": "promptable"},
}


@pytest.mark.parametrize("case", HOSTILE_METADATA)
def test_hostile_metadata(tmp_path: Path, case: str) -> None:
    entries = {f"streamseg.{key}": text for key, text in HOSTILE_METADATA[case].items()}
    path = write(tmp_path / "odd.onnx", rows(), metadata_from_info(INFO) | entries)
    for runtime in ("auto", "openvino", "onnxruntime"):
        with pytest.raises(NotAnEngine) as caught:
            load_engine(path, runtime)
        said = str(caught.value)
        assert said.startswith(f"{path}: ")
        assert said.isprintable()
        assert len(said) < len(str(path)) + 400


def damaged(kind: str) -> Callable[[bytes], bytes]:
    return {
        "empty": lambda content: b"",
        "text": lambda content: b"dear diary\n",
        "zeros": lambda content: b"\0" * 5000,
        "half": lambda content: content[: len(content) // 2],
        "cut": lambda content: content[:-3],
        "noise": lambda content: np.random.default_rng(7).bytes(5000),
        "endless number": lambda content: b"\xff" * 5000,
        "deep": lambda content: b"\x3a\x7f" * 3000,
        "pickle": lambda content: pickle.dumps({"a": print}),
    }[kind]


KINDS = ["empty", "text", "zeros", "half", "cut", "noise", "endless number", "deep", "pickle"]


@pytest.mark.parametrize("suffix", [".onnx", ".pth", ".engine"])
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(tmp_path: Path, kind: str, suffix: str) -> None:
    good = write(tmp_path / "good.onnx", rows())
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(damaged(kind)(good.read_bytes()))
    with pytest.raises(StreamsegError) as caught:
        load_engine(path)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_never_crash(tmp_path: Path, seed: int) -> None:
    """Refused in one line by the header or by the runtime, or still an engine."""
    rng = np.random.default_rng(seed)
    content = np.frombuffer(write(tmp_path / "good.onnx", rows()).read_bytes(), np.uint8).copy()
    content[rng.integers(0, len(content), 20)] ^= np.uint8(1) << rng.integers(0, 8, 20).astype(np.uint8)
    path = tmp_path / "flipped.onnx"
    path.write_bytes(content.tobytes())
    said = ""
    try:
        with load_engine(path, "onnxruntime") as engine:
            engine.infer(FRAMES)
    except EngineError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1


@pytest.mark.parametrize("case", ["classes_i64", "surrogate"])
def test_outputs_are_not_opened_for_a_file_that_is_refused(tmp_path: Path, case: str) -> None:
    changes = cast("classes", "int64") if case == "classes_i64" else {}
    entries = {"streamseg.classes": '["\\ud800", "b"]'} if case == "surrogate" else {}
    path = write(tmp_path / "e.onnx", rows(**changes), metadata_from_info(INFO) | entries)
    older = tmp_path / "o.jsonl"
    older.write_text("kept")
    words = ["run", "synthetic?size=96x64", "--engine", path, "--max-frames", "2", "--jsonl", older]
    done = CliRunner().invoke(app, [*map(str, words), "-o", str(tmp_path / "o.mp4")])
    assert isinstance(done.exception, NotAnEngine)
    assert older.read_text() == "kept"
    assert not (tmp_path / "o.mp4").exists()


def test_the_sidecar_of_a_plan_may_be_deep(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(b"plan")
    path.with_name("a.engine.json").write_text('{"fingerprint":' + "[" * 100_000)
    with pytest.raises(EngineError, match=r"a.engine.json: cannot be read"):
        load_engine(path)


def test_a_bundled_engine_is_of_the_first_contract_and_runs() -> None:
    path = list_engines()["shapes"]
    info = read_info(path)
    assert (info.mask_finer, info.mask_layout, info.mask_encoding, info.kind) == (
        *(1, "frame", "probability"),
        "instances",
    )
    with load_engine(path, "onnxruntime", threads=1) as engine:
        found = engine.infer(np.zeros((1, *info.input_hw, 3), np.uint8))
    assert found.masks.shape[:2] == (1, info.max_detections)
    assert (found.semantic, found.segments) == (None, None)
    assert json.dumps(metadata_from_info(info))
