"""Metadata written and read are inverse, contract 1 is still read, and hostile entries end in one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamseg.engine_contract import PRECISIONS, EngineInfo
from streamseg.engines.metadata import info_from_metadata, metadata_from_info
from streamseg.errors import NotAnEngine

NAME = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
NAMES = st.lists(NAME, max_size=8).map(tuple)
LEVEL = st.integers(0, 255)
SLOPE = st.floats(0, 1e6, exclude_min=True).map(lambda slope: f"logit:{slope!r}")
INFOS = st.builds(
    EngineInfo,
    family=NAME,
    model=NAME,
    classes=st.lists(NAME, min_size=1, max_size=8).map(tuple),
    resize=st.sampled_from(("stretch", "fit")),
    input_hw=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    max_detections=st.integers(0, 1000),
    score_threshold=st.floats(allow_nan=False, allow_infinity=False),
    pad_bgr=st.tuples(LEVEL, LEVEL, LEVEL),
    checkpoint=NAME,
    checkpoint_sha256=NAME,
    version=NAME,
    precision=st.sampled_from(PRECISIONS),
    mask_layout=st.sampled_from(("frame", "box")),
    mask_encoding=st.one_of(st.just("probability"), SLOPE),
    mask_paste=st.sampled_from(("continuous", "torchvision")),
    mask_finer=st.integers(1, 64),
    stuff_classes=NAMES,
    kind=st.sampled_from(("instances", "promptable")),
)
INFO = EngineInfo("solov2", "tiny", ("cat", "dog"), "fit", (16, 24), 3, 0.05, (7, 8, 9), mask_finer=4)


@given(INFOS)
def test_written_and_read_are_inverse(info: EngineInfo) -> None:
    metadata = metadata_from_info(info)
    assert all(key.startswith("streamseg.") for key in metadata)
    assert info_from_metadata(metadata, info.input_hw, "x.onnx") == info


def test_what_is_written() -> None:
    entries = {key.removeprefix("streamseg."): text for key, text in metadata_from_info(INFO).items()}
    assert entries["contract"] == "2"
    assert entries["pad"] == "7,8,9"
    assert entries["mask_finer"] == "4"
    assert entries["precision"] == "fp32"
    assert json.loads(entries["classes"]) == ["cat", "dog"]
    assert set(entries) == {
        *("contract", "family", "model", "classes", "resize", "pad", "max_detections", "score_threshold"),
        *("checkpoint", "checkpoint_sha256", "version", "precision", "kind", "stuff_classes"),
        *("mask_layout", "mask_encoding", "mask_paste", "mask_finer"),
    }


@pytest.mark.parametrize(("family", "finer"), [("solov2", 4), ("solo", 4), ("yolact", 1), ("else", 1)])
def test_the_first_contract_is_read(family: str, finer: int) -> None:
    """It does not say how masks are interpolated: that hung on the family."""
    metadata = metadata_from_info(INFO) | {"streamseg.contract": "1", "streamseg.family": family}
    metadata["streamseg.mask_layout"] = "box"  # no word of that contract
    for key in ("precision", "kind", "stuff_classes", "mask_encoding", "mask_paste", "mask_finer"):
        del metadata[f"streamseg.{key}"]
    info = info_from_metadata(metadata, (16, 24), "x.onnx")
    assert (info.mask_finer, info.mask_layout, info.precision) == (finer, "frame", "fp32")
    metadata["streamseg.precision"] = "int8"
    assert info_from_metadata(metadata, (16, 24), "x.onnx").precision == "int8"


@pytest.mark.parametrize(
    ("entry", "text", "complaint"),
    [
        ("contract", "3", "engine contract '3', this streamseg reads 1 and 2"),
        ("classes", "[]", "tiny: classes: none"),
        ("classes", '"ab"', "classes is not a list"),
        ("classes", '{"a": 1}', "classes is not a list"),
        ("classes", '["cat", null]', "classes: None is no text"),
        ("classes", '["cat", ["dog"]]', r"classes: \['dog'\] is no text"),
        ("classes", "[" * 100_000, "recursion"),
        ("classes", "no json", "Expecting value"),
        ("classes", '["\\ud800"]', "holds characters that cannot be shown"),
        ("classes", '["\\u001b[31mcat"]', "holds characters that cannot be shown"),
        ("model", "\x1b]0;owned\x07", "holds characters that cannot be shown"),
        ("pad", "1,2,999", r"pad_bgr: \(1, 2, 999\)"),
        ("pad", "1,2", r"pad_bgr: \(1, 2\)"),
        ("max_detections", "9" * 5000, "max_detections|limit"),
        ("max_detections", "many", "invalid literal"),
        ("score_threshold", "nan", "score_threshold: nan"),
        ("mask_finer", "1e9", "invalid literal"),
    ],
)
def test_entries_that_cannot_be_used(entry: str, text: str, complaint: str) -> None:
    metadata = metadata_from_info(INFO) | {f"streamseg.{entry}": text}
    with pytest.raises(NotAnEngine, match=complaint) as caught:
        info_from_metadata(metadata, (16, 24), "x.onnx")
    said = str(caught.value)
    assert said.startswith("x.onnx: ")
    assert said.endswith("; export it again with: streamseg export MODEL -o OUT.onnx")
    assert said.isprintable()
    assert len(said) < 400


def test_entries_that_are_not_there() -> None:
    metadata = metadata_from_info(INFO)
    del metadata["streamseg.resize"]
    with pytest.raises(NotAnEngine, match=r"damaged streamseg metadata \(no 'resize'\)"):
        info_from_metadata(metadata, (16, 24), "x.onnx")
    with pytest.raises(NotAnEngine, match="no streamseg.* metadata"):
        info_from_metadata({}, (16, 24), "x.onnx")
