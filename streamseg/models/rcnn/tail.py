"""Everything in a Mask R-CNN that is not a layer: proposals, greedy NMS, RoIAlign, masks on their boxes.

Only the batch is free: the tail exports into the graph. Tested in tests/models/rcnn/test_tail.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from streamseg.models.corners import LEVELS, Corners
from streamseg.models.greedy_nms import greedy_survivors
from streamseg.models.instance_tensors import InstanceTensors, check_limits
from streamseg.models.rcnn.boxes import level_anchors, moved, within
from streamseg.models.rcnn.network import BOX_BINS, MaskRcnn, RcnnHeads
from streamseg.models.rcnn.roi_align import PyramidMap

__all__ = ["RcnnTail"]

PROPOSAL_IOU = 0.7
KEPT_SCORE = 0.05
"""A proposal with a class takes part when it scores more."""
NMS_IOU = 0.5
MOST_PAIRS = 1000
"""Of a proposal and a class that enter NMS, the best. Exact as long as no more score above 0.05, or as
many as there may be detections survive among them."""
MASK_BINS = 14
LEAST_SIDE = 0.01
"""Pixels; narrower boxes take no part."""
DELTA_UNITS = (10.0, 10.0, 5.0, 5.0)
"""What the box head's deltas are counted in, per unit."""


class Proposals(NamedTuple):
    """By descending score."""

    boxes: Corners
    """Planes (B, N), pixels of the input."""
    scores: Tensor
    """(B, N); 0 from where there are no more."""


class BoxDetections(NamedTuple):
    """By descending score."""

    boxes: Corners
    scores: Tensor
    """(B, K); 0 from where there are no more."""
    classes: Tensor


class RcnnTail(nn.Module):
    """Pyramid and raw heads of the proposals → the contract's instances."""

    def __init__(
        self,
        model: MaskRcnn,
        *,
        max_detections: int = 100,
        score_threshold: float = 0.0,
        cross_class: bool = False,
        columns: Sequence[int] | None = None,
    ) -> None:
        """`columns`: the classes that are looked for, if not all; a class in what comes out is an index to
        them. With `cross_class` a box suppresses boxes of all classes. Entries not above `score_threshold`
        are not counted, nor any below 0.05. Raises ExportError for options that cannot be met."""
        super().__init__()
        config = model.config
        channels = [config.class_channels[k] for k in columns or range(len(config.classes))]
        anchors = level_anchors(config)
        self.level_sizes = [len(level) for level in anchors]
        self.proposals = min(config.proposals, sum(self.level_sizes))
        self.pairs = min(MOST_PAIRS, self.proposals * len(channels))
        check_limits(max_detections, self.pairs, score_threshold)
        self.max_detections = max_detections
        self.score_threshold = max(score_threshold, KEPT_SCORE)
        self.cross_class = cross_class
        self.input_hw, self.numerics = config.input_hw, config.numerics
        # By this name it is lowered and quantised with the rest of the network (streamseg.compile.precision).
        self.network = model.roi_heads
        self.anchors: Tensor
        self.register_buffer("anchors", torch.cat(anchors), persistent=False)
        self.channels: Tensor
        self.register_buffer("channels", torch.tensor(channels), persistent=False)
        self.units: Tensor
        self.register_buffer("units", torch.tensor(DELTA_UNITS), persistent=False)

    def forward(
        self,
        objectness: Tensor,
        deltas: Tensor,
        extent: Tensor,
        p2: Tensor,
        p3: Tensor,
        p4: Tensor,
        p5: Tensor,
    ) -> InstanceTensors:
        """The fields of RcnnHeads."""
        heads = RcnnHeads(objectness, deltas, extent, p2, p3, p4, p5)
        pyramid = PyramidMap((p2, p3, p4, p5))
        found = self._detections(self._proposals(heads), pyramid, extent)
        valid = found.scores > 0
        masks = self._masks(found, pyramid)
        height, width = self.input_hw
        relative = torch.tensor([width, height, width, height], dtype=extent.dtype, device=extent.device)
        return InstanceTensors(
            boxes=torch.where(valid.unsqueeze(-1), torch.stack(found.boxes, -1) / relative, 0.0),
            scores=found.scores,
            classes=torch.where(valid, found.classes, 0).to(torch.int32),
            masks=(masks * LEVELS * valid[..., None, None]).to(torch.uint8),
            number=valid.sum(1).to(torch.int32),
        )

    def _proposals(self, heads: RcnnHeads) -> Proposals:
        """NMS within each level, the best of all levels."""
        first, parts = 0, []
        for size in self.level_sizes:
            part = slice(first, first + size)
            count = min(self.proposals, size)
            best, index = heads.objectness[:, part].topk(count, dim=1)
            steps = heads.deltas[:, part].gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
            anchors = Corners(*self.anchors[part][index].unbind(-1))
            boxes = within(moved(anchors, steps), heads.extent)
            scores = best.sigmoid() * wide_enough(boxes)
            kept = greedy_survivors(boxes, scores, None, PROPOSAL_IOU, count)
            parts.append(Proposals(boxes.gather(kept.rows), kept.scores))
            first += size
        boxes = Corners(*(torch.cat(planes, 1) for planes in zip(*(p.boxes for p in parts), strict=True)))
        scores, order = torch.cat([p.scores for p in parts], 1).topk(self.proposals, dim=1)
        return Proposals(boxes.gather(order), scores)

    def _detections(self, proposals: Proposals, pyramid: PyramidMap, extent: Tensor) -> BoxDetections:
        """What the box head makes of the proposals."""
        batch, count = proposals.scores.shape
        seen = self.network["box_head"](pyramid.pooled(proposals.boxes, BOX_BINS, self.numerics))
        logits, deltas = self.network["box_predictor"](seen)
        parts = logits.shape[1]
        chances = logits.softmax(1).view(batch, count, parts).index_select(-1, self.channels)
        chances = chances * (proposals.scores > 0).unsqueeze(-1)
        scores, index = chances.flatten(1).topk(self.pairs, dim=1)
        rows = torch.div(index, len(self.channels), rounding_mode="floor")
        classes = index - rows * len(self.channels)
        places = rows * parts + self.channels[classes]
        steps = deltas.view(batch, -1, 4).gather(1, places.unsqueeze(-1).expand(-1, -1, 4)) / self.units
        boxes = within(moved(proposals.boxes.gather(rows), steps), extent)
        scores = torch.where((scores > self.score_threshold) & wide_enough(boxes), scores, 0.0)
        rivals = None if self.cross_class else classes
        kept = greedy_survivors(boxes, scores, rivals, NMS_IOU, self.max_detections)
        return BoxDetections(boxes.gather(kept.rows), kept.scores, classes.gather(1, kept.rows))

    def _masks(self, found: BoxDetections, pyramid: PyramidMap) -> Tensor:
        """(B, K, 28, 28) probabilities over each box: of its own class alone."""
        features = self.network["mask_head"](pyramid.pooled(found.boxes, MASK_BINS, self.numerics))
        predictor = self.network["mask_predictor"]
        for name in ("conv5_mask", "relu"):
            features = predictor.get_submodule(name)(features)
        channels = self.channels[found.classes].flatten()
        weight, bias = (predictor.get_parameter(f"mask_fcn_logits.{part}") for part in ("weight", "bias"))
        logits = weight.flatten(1)[channels].unsqueeze(1) @ features.flatten(2)
        chances: Tensor = (logits.squeeze(1) + bias[channels].unsqueeze(1)).sigmoid()
        return chances.view(*found.scores.shape, *features.shape[2:])


def wide_enough(boxes: Corners) -> Tensor:
    """(B, n) bool."""
    return (boxes.x2 - boxes.x1 >= LEAST_SIDE) & (boxes.y2 - boxes.y1 >= LEAST_SIDE)
