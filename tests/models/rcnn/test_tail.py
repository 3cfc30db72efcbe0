"""Mask R-CNN's tail against torchvision's own model on the same layers, and what it does with options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `models`")

from torch import Tensor  # noqa: E402
from torchvision.models.detection.image_list import ImageList  # noqa: E402
from torchvision.models.detection.mask_rcnn import MaskRCNN  # noqa: E402

from streamseg.errors import ExportError  # noqa: E402
from streamseg.models.engine_module import EngineModule  # noqa: E402
from streamseg.models.rcnn.network import MaskRcnn  # noqa: E402
from streamseg.models.rcnn.tail import RcnnTail  # noqa: E402

Slim = Callable[..., MaskRcnn]
INPUT_HW = (128, 192)
PICTURES_HW = [(128, 192), (96, 150)]
CELL = 4.0
"""Pixels. Of a box that is narrower, at the right or lower border, torchvision takes a part of the samples
beyond the map, where it has zeros."""


def noise() -> Tensor:
    """(2, 3, 128, 192), the second picture smaller than the input."""
    x = torch.randn(2, 3, *INPUT_HW, generator=torch.Generator().manual_seed(5))
    x[1, :, 96:], x[1, :, :, 150:] = 0.0, 0.0
    return x


def torchvisions(model: MaskRcnn, x: Tensor) -> list[dict[str, Tensor]]:
    """What torchvision's own code finds by these layers."""
    heads = model.roi_heads
    original: Any = MaskRCNN(
        model.backbone,
        rpn_head=model.rpn["head"],
        rpn_pre_nms_top_n_test=model.config.proposals,
        rpn_post_nms_top_n_test=model.config.proposals,
        box_head=heads["box_head"],
        box_predictor=heads["box_predictor"],
        mask_head=heads["mask_head"],
        mask_predictor=heads["mask_predictor"],
    ).eval()
    images = ImageList(x, PICTURES_HW)
    features = original.backbone(x)
    proposals, _ = original.rpn(images, features)
    found, _ = original.roi_heads(features, proposals, PICTURES_HW)
    result: list[dict[str, Tensor]] = found
    return result


@pytest.mark.parametrize("name", ["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"])
def test_equals_torchvision(slim_rcnn: Slim, name: str) -> None:
    model = slim_rcnn(name)
    tail = RcnnTail(model, max_detections=100)
    with torch.inference_mode():
        found, expected = tail(*model(noise())), torchvisions(model, noise())

    for k, want in enumerate(expected):
        count = int(found.number[k])
        ours, theirs = (
            torch.cat((boxes, 100 * scores[:, None], 100.0 * classes[:, None]), 1)
            for boxes, scores, classes in (
                (found.boxes[k] * torch.tensor([192.0, 128.0] * 2), found.scores[k], found.classes[k]),
                (want["boxes"], want["scores"], want["labels"] - 1),
            )
        )
        wide = (theirs[:, 2:4] - theirs[:, :2]).amin(1) > CELL
        assert wide.sum() > 20
        assert theirs[0, 4] - theirs[-1, 4] > 20
        distance, partner = torch.cdist(theirs[wide], ours[:count], p=torch.inf).min(1)
        assert distance.max() < 1e-2
        assert abs(count - len(theirs)) <= (~wide).sum()
        levels = (want["masks"][wide, 0] * 255.9998).to(torch.uint8)
        assert (found.masks[k, partner].int() - levels.int()).abs().max() <= 1
        assert not found.masks[k, count:].any()
        assert not found.scores[k, count:].any()


def test_some_classes_and_a_threshold(slim_rcnn: Slim) -> None:
    model = slim_rcnn("mmdet_mask_rcnn_r50")
    with torch.inference_mode():
        heads = model(noise())
        every = RcnnTail(model, max_detections=100)(*heads)
        second = RcnnTail(model, max_detections=60, columns=[1], score_threshold=0.1)(*heads)
    wanted = every.scores[0][(every.classes[0] == 1) & (every.scores[0] > 0.1)]
    assert len(wanted) > 3
    assert torch.equal(second.scores[0, : len(wanted)], wanted)
    assert int(second.number[0]) == len(wanted)
    assert set(second.classes[0].tolist()) == {0}


def test_across_classes_one_box_is_left_of_those_that_overlap(slim_rcnn: Slim) -> None:
    model = slim_rcnn("mmdet_mask_rcnn_r50")
    with torch.inference_mode():
        heads = model(noise())
        each, one = (RcnnTail(model, max_detections=100, cross_class=c)(*heads) for c in (False, True))
    assert 0 < int(one.number[0]) < int(each.number[0])


def test_an_engine_says_how_its_masks_lie(slim_rcnn: Slim) -> None:
    info = EngineModule(slim_rcnn("maskrcnn_resnet50_fpn")).info()
    assert (info.mask_layout, info.mask_paste, info.resize) == ("box", "torchvision", "fit")
    assert info.pad_bgr == (104, 116, 124)
    assert EngineModule(slim_rcnn("mmdet_mask_rcnn_r50")).info().mask_paste == "continuous"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_detections": 121}, "max_detections 121: must be 1…120"),
        ({"score_threshold": 1.0}, "score_threshold 1.0: must be 0…1"),
    ],
)
def test_options_that_cannot_be_met(slim_rcnn: Slim, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        RcnnTail(slim_rcnn("maskrcnn_resnet50_fpn"), **options)
