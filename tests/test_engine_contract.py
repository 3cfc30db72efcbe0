"""The contract's own types: what an EngineInfo may hold, and what results are."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from streamseg.engine_contract import (
    PRECISIONS,
    RUNTIME_NAMES,
    EngineInfo,
    EngineOutputs,
    PromptableEngine,
    PromptOutputs,
    TensorSpec,
    contract_tensors,
)
from streamseg.engines.load import RUNTIMES
from streamseg.errors import EngineError, NotAnEngine

INFO = EngineInfo("yolact", "tiny", ("cat", "dog"), "stretch", (16, 24), 3, 0.05)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"classes": ()}, "tiny: classes: none"),
        ({"classes": ("cat", 3)}, "classes: 3 is no text"),
        ({"classes": ("\ud800",)}, r"classes: '\\ud800' holds characters that cannot be shown"),
        ({"classes": ("cat\x1b[31m",)}, r"classes: 'cat\\x1b\[31m' holds characters"),
        ({"model": "two\nlines"}, r"^two\\nlines: model: 'two\\nlines' holds characters"),
        ({"stuff_classes": ("sky\u2028",)}, "stuff_classes: .* holds characters"),
        ({"pad_bgr": (1, 2, 999)}, r"pad_bgr: \(1, 2, 999\)"),
        ({"score_threshold": float("nan")}, "score_threshold: nan"),
        ({"max_detections": -1}, "max_detections: -1"),
        ({"mask_layout": "screen"}, "mask_layout: 'screen', expected frame or box"),
        ({"mask_encoding": "logit:0"}, "mask_encoding: 'logit:0'"),
        ({"mask_encoding": "logit"}, "mask_encoding: 'logit'"),
        ({"mask_paste": "glue"}, "mask_paste: 'glue', expected continuous or torchvision"),
        ({"mask_finer": 0}, "mask_finer: 0"),
        ({"precision": "fp8"}, "precision: 'fp8', expected fp32 or fp16 or bf16 or int8 or mixed"),
        ({"kind": "oracle"}, "kind: 'oracle', expected instances or promptable"),
        ({"resize": "x" * 5000}, "resize: 'xxx.{50,60}…, expected stretch or fit"),
        ({"stuff_classes": ("sky",) * 256}, "stuff_classes"),
    ],
)
def test_values_the_contract_does_not_have(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(NotAnEngine, match=text) as caught:
        replace(INFO, **changes)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 200


def test_names_of_any_script_may_be_shown() -> None:
    names = ("Käfer", "自転車", "می‌خواهم", "🚲", "no break")
    assert replace(INFO, classes=names).classes == names


def test_an_engine_of_semantic_alone_needs_no_classes() -> None:
    info = replace(INFO, classes=(), max_detections=0, stuff_classes=("road", "sky"))
    assert str(contract_tensors(info)["masks"]) == "uint8 (B, 0, mh, mw)"


def test_specs_agree_where_a_size_is_free() -> None:
    want = contract_tensors(INFO)["boxes"]
    assert want == TensorSpec("boxes", ("B", 3, 4), "float32")
    assert TensorSpec("boxes", (7, 3, 4), "float32").agrees(want)
    assert TensorSpec("boxes", ("?", "?", 4), "float32").agrees(want)
    for shape, dtype in (((7, 3, 5), "float32"), ((7, 3), "float32"), ((7, 3, 4), "float16")):
        assert not TensorSpec("boxes", shape, dtype).agrees(want)
    assert str(contract_tensors(INFO)["count"]) == "int32 (B,)"


def test_rows_and_arrays_keep_what_is_optional() -> None:
    arrays = [np.arange(12).reshape(4, 3) for _ in range(5)]
    outputs = EngineOutputs(*arrays, segments=np.arange(4, dtype=np.uint8))
    assert list(outputs.arrays()) == ["boxes", "scores", "classes", "masks", "count", "segments"]
    part = outputs.rows(1, 3)
    assert part.semantic is None
    assert part.segments is not None
    assert part.segments.tolist() == [1, 2]
    assert part.boxes.tolist() == [[3, 4, 5], [6, 7, 8]]


def test_runtimes_and_precisions_are_listed_once() -> None:
    assert tuple(RUNTIMES) == RUNTIME_NAMES == ("tensorrt", "openvino", "onnxruntime", "torch")
    assert PRECISIONS == ("fp32", "fp16", "bf16", "int8", "mixed")


def test_naming_them_loads_no_package() -> None:
    code = "import sys, streamseg.engine_contract; print({'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


class GreyPrompts:
    """A promptable engine in a few lines: the embedding is the grey picture, a mask is what is as bright
    as the prompt's places are on average."""

    def __init__(self) -> None:
        self.info = replace(INFO, kind="promptable", classes=())

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        return frames.mean(axis=3, dtype=np.float32)[:, None]

    def ask_boxes(self, embedding: NDArray[np.float32], boxes: NDArray[np.float32]) -> PromptOutputs:
        centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        return self.ask_points(embedding, centres, np.ones((len(boxes), 1), np.int32))

    def ask_points(
        self, embedding: NDArray[np.float32], points: NDArray[np.float32], labels: NDArray[np.int32]
    ) -> PromptOutputs:
        grey = embedding[0]
        cells = (points * np.array(grey.shape[::-1])).astype(int)
        inside = labels == 1
        level = (grey[cells[..., 1], cells[..., 0]] * inside).sum(1) / inside.sum(1)
        near = np.abs(grey[None] - level[:, None, None]) < 20
        return PromptOutputs(np.where(near, np.uint8(255), np.uint8(0)), near.mean((1, 2), dtype=np.float32))

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_the_promptable_protocol_can_be_met() -> None:
    frames = np.zeros((2, 16, 24, 3), np.uint8)
    frames[1, :8] = 200
    engine: PromptableEngine = GreyPrompts()
    embeddings = engine.embed(frames)
    assert (embeddings.shape, embeddings.dtype) == ((2, 1, 16, 24), np.float32)
    boxes = np.float32([[0, 0, 1, 0.4], [0, 0.6, 1, 1]])
    found = engine.ask_boxes(embeddings[1], boxes)
    assert (found.masks.shape, found.masks.dtype) == ((2, 16, 24), np.uint8)
    assert found.masks[0, :8].all()
    assert not found.masks[0, 8:].any()
    assert found.masks[1, 8:].all()
    assert found.iou.tolist() == [0.5, 0.5]
    points = np.float32([[[0.5, 0.1], [0.5, 0.9]]])
    one = engine.ask_points(embeddings[1], points, np.int32([[1, -1]]))
    np.testing.assert_array_equal(one.masks[0], found.masks[0])


def test_an_error_of_the_contract_is_an_engine_error() -> None:
    assert issubclass(NotAnEngine, EngineError)
