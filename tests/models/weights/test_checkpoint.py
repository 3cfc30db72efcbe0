"""Weights files: what is written comes back, and what does not fit says so in one line."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamseg.errors import CheckpointError
from streamseg.models.weights.checkpoint import load_checkpoint, load_weights, save_checkpoint
from streamseg.models.yolact.catalog import build_model
from streamseg.models.yolact.yolact import Yolact

CLASSES = ("a", "b")
SIZE_HW = (64, 96)


@pytest.fixture(scope="module")
def model() -> Yolact:
    return build_model("yolact_lite", CLASSES, SIZE_HW).eval()


@pytest.fixture
def saved(model: Yolact, tmp_path: Path) -> Path:
    path = tmp_path / "net.pth"
    save_checkpoint(model, model.state_dict(), path)
    return path


def test_round_trip(model: Yolact, saved: Path) -> None:
    loaded = load_checkpoint(saved)

    assert loaded.config == model.config
    assert not loaded.training
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


def test_a_file_from_before_yolact_lite_had_its_name(model: Yolact, tmp_path: Path) -> None:
    header = {"model": "compact", "classes": list(CLASSES), "input_hw": list(SIZE_HW)}
    torch.save({"streamseg": header, "state_dict": model.state_dict()}, tmp_path / "old.pth")

    assert load_checkpoint(tmp_path / "old.pth").config == model.config


def test_saving_leaves_nothing_else_behind(saved: Path) -> None:
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_published_files_load_in_spite_of_their_leftovers(model: Yolact, tmp_path: Path) -> None:
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    state["backbone.layer1.0.conv1.weight"] = torch.zeros(1)
    state["fpn.downsample_layers.2.weight"] = torch.zeros(1)
    state["backbone._bn0.num_batches_tracked"] = torch.zeros(1, dtype=torch.int64)
    path = tmp_path / "published.pth"
    torch.save(state, path)
    other = build_model("yolact_lite", CLASSES, SIZE_HW)

    load_weights(other, path)

    assert torch.equal(other.backbone._conv_stem.weight, model.backbone._conv_stem.weight)


def changed(state: dict[str, Tensor], **changes: Tensor | None) -> dict[str, Tensor]:
    keys = {name.replace("__", "."): value for name, value in changes.items()}
    return {k: v for k, v in (state | keys).items() if v is not None}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone___conv_stem__weight": None}, "1 missing keys, the first is 'backbone._conv_stem.weight'"),
        ({"head__weight": torch.zeros(1)}, "1 unexpected keys, the first is 'head.weight'"),
        ({"backbone___bn0__bias": torch.zeros(3)}, r"'backbone._bn0.bias' is \(3,\), expected \(32,\)"),
        ({"backbone___bn0__bias": "text"}, "'backbone._bn0.bias' is str"),
    ],
)
def test_weights_that_do_not_fit(
    model: Yolact, tmp_path: Path, change: dict[str, Tensor | None], message: str
) -> None:
    path = tmp_path / "other.pth"
    torch.save(changed(model.state_dict(), **change), path)

    with pytest.raises(CheckpointError, match=message):
        load_weights(build_model("yolact_lite", CLASSES, SIZE_HW), path)


@pytest.mark.slow
def test_a_failed_load_leaves_the_network_as_it_was(model: Yolact, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"backbone._conv_stem.weight": torch.zeros_like(model.backbone._conv_stem.weight)}, path)
    other = build_model("yolact_lite", CLASSES, SIZE_HW)

    with pytest.raises(CheckpointError):
        load_weights(other, path)

    assert other.backbone._conv_stem.weight.abs().max() > 0


class Payload:
    """What a hostile pickle would hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_files_that_are_no_weights(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    (tmp_path / "truncated.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "empty.pth").touch()
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"a": Payload()}, tmp_path / "hostile.pth")

    for name in ("truncated", "text", "empty", "list", "hostile", "absent"):
        with pytest.raises(CheckpointError, match=name):
            load_checkpoint(tmp_path / f"{name}.pth")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "not a streamseg checkpoint"),
        ({"model": "other", "classes": ["a"], "input_hw": [64, 96]}, "'other' is unknown"),
        ({"model": ["x"], "classes": ["a"], "input_hw": [64, 96]}, "is unknown"),
        ({"model": "yolact_lite", "classes": [], "input_hw": [64, 96]}, "damaged header"),
        ({"model": "yolact_lite", "classes": ["a"], "input_hw": [64]}, "damaged header"),
    ],
)
def test_damaged_headers(tmp_path: Path, header: object, message: str) -> None:
    path = tmp_path / "net.pth"
    torch.save({"streamseg": header, "state_dict": {}}, path)

    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)
