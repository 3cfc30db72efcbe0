"""mmdetection's RTMDet-Ins files: its names and its copies, and files that do not fit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torch import Tensor  # noqa: E402

from streamseg.errors import CheckpointError  # noqa: E402
from streamseg.models.network import Network, build_network  # noqa: E402
from streamseg.models.weights.checkpoint import load_weights  # noqa: E402
from streamseg.models.yolact.catalog import build_model  # noqa: E402

SIZE_HW = (64, 64)


def published(model: Network) -> Iterator[tuple[str, Tensor]]:
    """The weights of `model` as mmdetection writes them: copies of shared ones, and BGR."""
    for key, value in model.state_dict().items():
        name = re.sub(r"^head\.", "bbox_head.", key)
        if conv := re.match(r"head\.cls_convs\.(\d)\.weight", key):
            for level in range(3):
                for tower in ("cls", "reg"):
                    yield f"bbox_head.{tower}_convs.{level}.{conv[1]}.conv.weight", value
        elif norm := re.match(r"head\.cls_norms\.(\d)\.(\d)\.(.+)", key):
            for tower in ("cls", "reg"):
                yield f"bbox_head.{tower}_convs.{norm[1]}.{norm[2]}.bn.{norm[3]}", value
        elif key == "backbone.stem.0.conv.weight":
            yield name, value.flip(1)
        else:
            yield name, value


@pytest.fixture(scope="module")
def model() -> Network:
    return build_network("rtmdet_ins_tiny", input_hw=SIZE_HW)


def saved(state: dict[str, Tensor], folder: Path) -> Path:
    path = folder / "published.pth"
    torch.save({"meta": {"epoch": 300}, "state_dict": state}, path)
    return path


def test_a_published_file_loads(model: Network, tmp_path: Path) -> None:
    state = dict(published(model))
    assert len(state) == 546  # as in the published file
    other = build_network("rtmdet_ins_tiny", input_hw=SIZE_HW)

    load_weights(other, saved(state, tmp_path))

    for key, value in model.state_dict().items():
        assert other.state_dict()[key].equal(value), key


@pytest.mark.slow
def test_a_tower_of_boxes_of_its_own_is_refused(model: Network, tmp_path: Path) -> None:
    state = dict(published(model))
    state["bbox_head.reg_convs.1.0.conv.weight"] = state["bbox_head.reg_convs.1.0.conv.weight"] + 1
    with pytest.raises(CheckpointError, match=r"1 unexpected keys.*'head\.reg_convs\.1\.0\.conv\.weight'"):
        load_weights(model, saved(state, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "said"),
    [
        ("rtmdet_ins_tiny", ("a", "b"), r"6 of another shape: 'head\.rtm_cls\.0\.weight' is \(2, 96, 1, 1\)"),
        ("rtmdet_ins_s", None, r"it looks like rtmdet_ins_s \(100% of the tensors fit\)"),
    ],
)
def test_files_of_other_networks(
    model: Network, tmp_path: Path, name: str, classes: tuple[str, ...] | None, said: str
) -> None:
    other = build_network(name, classes, SIZE_HW)
    with pytest.raises(CheckpointError, match=f"does not fit rtmdet_ins_tiny: .*{said}"):
        load_weights(model, saved(dict(published(other)), tmp_path))


@pytest.mark.slow
def test_weights_of_another_family(model: Network, tmp_path: Path) -> None:
    path = tmp_path / "yolact.pth"
    torch.save(build_model("yolact_lite", ("a", "b"), (64, 96)).state_dict(), path)
    with pytest.raises(CheckpointError, match="does not fit rtmdet_ins_tiny: .* missing keys"):
        load_weights(model, path)
