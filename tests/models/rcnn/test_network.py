"""Mask R-CNN: torchvision's names and sizes, and sizes that it cannot take."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torchvision.models import detection  # noqa: E402

from streamseg.errors import ConfigError  # noqa: E402
from streamseg.models.network import build_network  # noqa: E402
from streamseg.models.rcnn.config import RCNN_CONFIGS  # noqa: E402
from streamseg.models.rcnn.network import MaskRcnn, picture_extent  # noqa: E402


@pytest.mark.parametrize("name", ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"])
def test_tensors_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        ours = build_network(name).state_dict()
        theirs = getattr(detection, name)(weights=None, weights_backbone=None, num_classes=91).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in theirs.items()
    }


@pytest.mark.parametrize(
    ("name", "millions"), [("mmdet_mask_rcnn_r50", 44.4), ("mmdet_mask_rcnn_r101", 63.4)]
)
def test_as_many_parameters_as_published(name: str, millions: float) -> None:
    with torch.device("meta"):
        model = build_network(name)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_coco_has_its_gaps_only_where_torchvision_has_them() -> None:
    config = RCNN_CONFIGS["maskrcnn_resnet50_fpn"]
    channels = dict(zip(config.classes, config.class_channels, strict=True))
    assert (channels["person"], channels["stop sign"], channels["toothbrush"]) == (1, 13, 90)
    own = build_network("maskrcnn_resnet50_fpn", ("a", "b"), (64, 64))
    assert isinstance(own, MaskRcnn)
    assert own.config.class_channels == (1, 2)
    assert RCNN_CONFIGS["mmdet_mask_rcnn_r50"].class_channels == tuple(range(1, 81))


@pytest.mark.parametrize(("inner", "strides"), [(True, (2, 1)), (False, (1, 2))])
def test_where_a_bottleneck_halves_its_map(inner: bool, strides: tuple[int, int]) -> None:
    name = "detectron2_mask_rcnn_r50" if inner else "mmdet_mask_rcnn_r50"
    with torch.device("meta"):
        block = build_network(name).get_submodule("backbone.body.layer2.0")
    assert tuple(block.get_submodule(part).stride[0] for part in ("conv1", "conv2")) == strides


def test_where_the_picture_ends() -> None:
    x = torch.zeros(2, 3, 64, 96)
    x[0, :, :64, :70] = 0.1
    x[1, 1, :33, :96] = -2.0
    assert picture_extent(x).tolist() == [[70, 64], [96, 33]]


@pytest.mark.parametrize("size_hw", [(800, 1333), (32, 640), (0, 64)])
def test_sizes_that_it_cannot_take(size_hw: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="mmdet_mask_rcnn_r50 takes multiples of 32, 64 and more"):
        build_network("mmdet_mask_rcnn_r50", input_hw=size_hw)
