"""Published layouts under our names, and files that only look like weights."""

import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamseg.errors import CheckpointError
from streamseg.models.weights import archive
from streamseg.models.weights.archive import read_archive
from streamseg.models.weights.checkpoint import load_weights
from streamseg.models.weights.layouts import our_state
from streamseg.models.yolact.catalog import CONFIGS, build_model

CLASSES = ("a", "b")
SIZE_HW = (64, 96)


def test_yolact_edge_splits_the_fpn_in_two() -> None:
    keys = (
        "backbone.layers.0.0.conv1.weight",
        "fpn_phase_1.lat_layers.2.bias",
        "fpn_phase_2.pred_layers.0.weight",
        "fpn_phase_2.downsample_layers.1.bias",
        "fpn_phase_2.downsample_layers.2.bias",
        "prediction_layers.0.conf_layer.bias",
    )

    assert list(our_state(dict.fromkeys(keys))) == [
        "backbone.layers.0.0.conv1.weight",
        "fpn.lat_layers.2.bias",
        "fpn.pred_layers.0.weight",
        "fpn.downsample_layers.1.bias",
        "prediction_layers.0.conf_layer.bias",
    ]


@pytest.mark.parametrize("segmentation", ["segm_head.segm_conv", "mask_head.segm_branch.segm_conv"])
def test_mmdetection_counts_levels_the_other_way_round(segmentation: str) -> None:
    names = {
        "backbone.conv1.weight": "backbone.conv1.weight",
        "backbone.layer1.0.downsample.1.bias": "backbone.layers.0.0.downsample.1.bias",
        "backbone.layer4.2.conv3.weight": "backbone.layers.3.2.conv3.weight",
        "neck.lateral_convs.0.conv.weight": "fpn.lat_layers.2.weight",
        "neck.lateral_convs.2.conv.bias": "fpn.lat_layers.0.bias",
        "neck.fpn_convs.1.conv.weight": "fpn.pred_layers.1.weight",
        "neck.fpn_convs.3.conv.weight": "fpn.downsample_layers.0.weight",
        "bbox_head.head_convs.0.conv.bias": "prediction_layers.0.upfeature.0.bias",
        "bbox_head.conv_coeff.bias": "prediction_layers.0.mask_layer.bias",
        "mask_head.protonet.10.weight": "proto_net.10.weight",
        f"{segmentation}.weight": "semantic_seg_conv.weight",
    }

    assert list(our_state(dict.fromkeys(names))) == list(names.values())


def test_mmdetections_background_moves_to_the_front_of_every_anchor() -> None:
    state = {
        "bbox_head.conv_reg.bias": torch.zeros(8),  # two anchors
        "bbox_head.conv_cls.bias": torch.tensor([1.0, 2.0, 0.0, 11.0, 12.0, 10.0]),
        "bbox_head.conv_cls.weight": torch.tensor([1.0, 2.0, 0.0, 11.0, 12.0, 10.0]).view(6, 1, 1, 1),
        "bbox_head.conv_coeff.bias": torch.zeros(4),
    }

    ours = our_state(state)

    assert ours["prediction_layers.0.conf_layer.bias"].tolist() == [0, 1, 2, 10, 11, 12]
    assert ours["prediction_layers.0.conf_layer.weight"].flatten().tolist() == [0, 1, 2, 10, 11, 12]


def test_unknown_layouts_stay_as_they_are() -> None:
    assert our_state({"a.b": 1}) == {"a.b": 1}


def test_weights_inside_a_wrapper(tmp_path: Path) -> None:
    model = build_model("yolact_lite", CLASSES, SIZE_HW)
    path = tmp_path / "wrapped.pth"
    torch.save({"meta": {"epoch": 55}, "state_dict": model.state_dict()}, path)
    other = build_model("yolact_lite", CLASSES, SIZE_HW)

    load_weights(other, path)

    assert torch.equal(other.backbone._conv_stem.weight, model.backbone._conv_stem.weight)


def meta_state(name: str) -> dict[str, Tensor]:
    """Zeros in the shapes of a model, stored as one number each."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build_model(name).state_dict().items()}
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "given", "message"),
    [
        ("yolact_r50", "yolact_r101", "unexpected keys.*; it looks like yolact_r101 .100%"),
        ("yolact_r50", "mmdet_yolact_r50", "1 of another shape: .*; it looks like mmdet_yolact_r50 .100%"),
        ("yolact_plus_r50", "yolact_r50", "missing keys.* of another shape.*; it looks like yolact_r50 "),
        ("yolact_r50", "yolact_lite", "; it looks like yolact_lite "),
    ],
)
def test_another_models_weights_are_called_by_name(
    tmp_path: Path, asked: str, given: str, message: str
) -> None:
    path = tmp_path / "other.pth"
    torch.save(meta_state(given), path)
    with torch.device("meta"):
        model = build_model(asked)

    with pytest.raises(CheckpointError, match=f"does not fit {asked}: .*{message}") as caught:
        load_weights(model, path)
    assert "\n" not in str(caught.value)


def test_unlike_everything(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"head.weight": torch.zeros(3), "head.bias": torch.zeros(3)}, path)

    with pytest.raises(CheckpointError, match="it looks like none of yolact_r50, "):
        load_weights(build_model("yolact_lite", CLASSES, SIZE_HW), path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.zeros(24, dtype=torch.int64), "torch.int64"),
        (torch.zeros(24).to_sparse(), "torch.float32"),
        (torch.zeros(24, dtype=torch.complex64), "torch.complex64"),
        ([0.0] * 24, "list"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*[Ss]parse.*:UserWarning")
def test_tensors_that_are_no_weights(tmp_path: Path, value: object, kind: str) -> None:
    model = build_model("yolact_lite", CLASSES, SIZE_HW)
    path = tmp_path / "odd.pth"
    torch.save({**model.state_dict(), "backbone._bn0.bias": value}, path)

    with pytest.raises(CheckpointError, match=rf"'backbone._bn0.bias' is {kind}.*, expected \(32,\)"):
        load_weights(model, path)


def test_keys_that_are_no_names(tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    torch.save({1: torch.zeros(1)}, path)

    with pytest.raises(CheckpointError, match="its keys are no names"):
        load_weights(build_model("yolact_lite", CLASSES, SIZE_HW), path)


class HistoryBuffer:
    """Stands for mmengine's, which lies beside the weights of mmdetection 3.x."""

    def __init__(self) -> None:
        self.log = [1.0]


HistoryBuffer.__module__ = "mmengine.logging.history_buffer"
HistoryBuffer.__qualname__ = "HistoryBuffer"


def test_mmengines_logs_come_out_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    import numpy as np

    module = ModuleType("mmengine.logging.history_buffer")
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    for name in ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer"):
        monkeypatch.setitem(sys.modules, name, module)
    path = tmp_path / "mmdet3.pth"
    logs = {"loss": HistoryBuffer(), "lr": np.float64(0.1), "times": np.zeros(3)}
    torch.save({"message_hub": logs, "state_dict": OrderedDict(a=torch.ones(2))}, path)
    monkeypatch.undo()

    content = read_archive(path)

    assert content["state_dict"]["a"].tolist() == [1, 1]
    assert {type(value) for value in content["message_hub"].values()} == {archive.Nothing}


class Unknown:
    pass


def test_a_refused_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    torch.save({"meta": Unknown(), "state_dict": {}}, path)

    with pytest.raises(CheckpointError, match="odd.pth: .*Unknown, which is no weight and could run code"):
        read_archive(path)


def test_nothing_in_a_file_runs(tmp_path: Path) -> None:
    """A plain pickle, one inside torch's archive, and one behind a name that is let through."""
    witness = tmp_path / "ran"
    plain = tmp_path / "plain.pth"
    command = f"cposix\nsystem\n(S'touch {witness}'\ntR.".encode()
    plain.write_bytes(command)
    inside = tmp_path / "inside.pth"
    with zipfile.ZipFile(inside, "w") as file:
        file.writestr("x/data.pkl", command)
        file.writestr("x/version", "3")
    behind = tmp_path / "behind.pth"
    with zipfile.ZipFile(behind, "w") as file:
        got = b"cbuiltins\ngetattr\n(cos\nsystem\nS'__call__'\ntR" + f"(S'touch {witness}'\ntR.".encode()
        file.writestr("x/data.pkl", got)
        file.writestr("x/version", "3")

    for path in (plain, inside, behind):
        with pytest.raises(CheckpointError):
            read_archive(path)
    assert not witness.exists()


def test_an_archive_that_unpacks_to_more_than_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data.pkl", pickle.dumps({}))
        file.writestr("x/data/0", bytes(10_000_000))

    with pytest.raises(CheckpointError, match="bytes that unpack to 10000005"):
        read_archive(path)


REFERENCES = {
    "yolact_r50": "yolact_resnet50/keys.json",
    "yolact_r101": "keys_only/yolact_base.json",
    "yolact_darknet53": "keys_only/yolact_darknet53.json",
    "yolact_im400": "keys_only/yolact_im400.json",
    "yolact_im700": "keys_only/yolact_im700.json",
    "yolact_plus_r50": "yolact_plus_resnet50/keys.json",
    "yolact_plus_r101": "keys_only/yolact_plus_base.json",
    "yolact_r50_pascal": "keys_only/yolact_resnet50_pascal.json",
    "mmdet_yolact_r50": "mmdet_yolact_r50/keys.json",
    "mmdet_yolact_r101": "keys_only/mmdet_yolact_r101_1xb8-55e_coco.json",
}


@pytest.mark.parametrize(("name", "listing"), REFERENCES.items())
def test_published_keys_and_shapes_are_those_of_the_model(shared_dir: Path, name: str, listing: str) -> None:
    tensors = json.loads((shared_dir / "reference" / listing).read_text())["tensors"]
    published = {t["key"]: torch.zeros(()).expand(t["shape"]) for t in tensors}

    state = our_state(published)

    with torch.device("meta"):
        wanted = build_model(name).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        key: tuple(value.shape) for key, value in wanted.items()
    }


def test_every_yolact_has_a_reference() -> None:
    assert {name for name in CONFIGS if "yolact_" in name and name != "yolact_lite"} == set(REFERENCES)
