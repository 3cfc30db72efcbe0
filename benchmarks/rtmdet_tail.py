"""What follows RTMDet-Ins' network, as mmdetection does it and as here: one JSON.

    python benchmarks/rtmdet_tail.py [--threads 1] [--rounds 5] > benchmarks/rtmdet_tail.json

From random raw heads of `rtmdet_ins_tiny` at 640 × 640 to the pixels of up to 100 masks in a picture of
1280 × 720, in torch. `plain` is the order of operations of mmdetection's post-processing, written anew with
torch and torchvision: sorts, `batched_nms`, grouped convolutions on features copied for each object, 100
logit maps upsampled eightfold and to the picture. `ours` is the tail and the pixels of `streamseg.masks`.
Interleaved; least CPU seconds of the process, which other programs change less than wall time.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate
from torchvision.ops import batched_nms

from streamseg.masks import FrameMasks, Masks
from streamseg.models.network import build_network
from streamseg.models.rtmdet.config import STRIDES
from streamseg.models.rtmdet.head import RtmDetHeads
from streamseg.models.rtmdet.network import RtmDet, rtmdet_points
from streamseg.models.rtmdet.tail import KEPT_SCORE, LEVEL_PAIRS, LOGIT_SLOPE, NMS_IOU, RtmDetTail

SIDE, FRAME_HW, CONTENT_HW = 640, (720, 1280), (360, 640)
PARTS = (80, 64, 8, 8, 8, 1)


def random_heads(competing: int) -> RtmDetHeads:
    """Heads in which so many pairs of a location and a class score above 0.05, objects of all sizes."""
    rng = torch.Generator().manual_seed(0)
    count = sum((SIDE // stride) ** 2 for stride in STRIDES)
    logits = torch.full((count * 80,), -9.0)
    chosen = torch.randperm(count * 80, generator=rng)[:competing]
    logits[chosen] = torch.rand(competing, generator=rng) * 5 - 2.5
    distances = 8 + 100 * torch.rand(1, count, 4, generator=rng) ** 3
    kernels = torch.randn(1, count, sum(PARTS), generator=rng) * 0.5
    smooth = interpolate(torch.randn(1, 8, 6, 6, generator=rng), size=(SIDE // 8,) * 2, mode="bicubic")
    return RtmDetHeads(logits.view(1, count, 80), distances, kernels, smooth)


def plain(heads: RtmDetHeads, points: Tensor) -> Tensor:
    """(K, H, W) bool."""
    boxes, scores, classes, places = [], [], [], []
    first = 0
    for stride in STRIDES:
        count = (SIDE // stride) ** 2
        level = heads.logits[0, first : first + count].sigmoid()
        rows, columns = (level > KEPT_SCORE).nonzero(as_tuple=True)
        values, order = level[rows, columns].sort(descending=True)
        order = order[:LEVEL_PAIRS]
        rows = rows[order] + first
        x, y = points[rows, 0], points[rows, 1]
        left, top, right, bottom = heads.distances[0, rows].unbind(-1)
        boxes.append(torch.stack((x - left, y - top, x + right, y + bottom), -1).clamp(0, SIDE))
        scores.append(values[:LEVEL_PAIRS])
        classes.append(columns[order])
        places.append(rows)
        first += count
    kept = batched_nms(torch.cat(boxes), torch.cat(scores), torch.cat(classes), NMS_IOU)[:100]
    logits = convolved(heads, points, torch.cat(places)[kept])
    logits = interpolate(logits[None], scale_factor=8, mode="bilinear")
    size = tuple(side * FRAME_HW[0] // CONTENT_HW[0] for side in (SIDE, SIDE))
    logits = interpolate(logits, size=size, mode="bilinear")[0, :, : FRAME_HW[0], : FRAME_HW[1]]
    return logits.sigmoid() > 0.5


def convolved(heads: RtmDetHeads, points: Tensor, rows: Tensor) -> Tensor:
    count, side = len(rows), SIDE // 8
    y, x = torch.meshgrid(torch.arange(side) * 8.0, torch.arange(side) * 8.0, indexing="ij")
    place = points[rows, :2, None, None] - torch.stack((x, y))
    place = place / (8 * points[rows, 2]).view(-1, 1, 1, 1)
    z = torch.cat((place, heads.features.expand(count, -1, -1, -1)), 1).reshape(1, -1, side, side)
    parts = torch.split(heads.kernels[0, rows], list(PARTS), dim=1)
    for layer, width in enumerate((8, 8, 1)):
        weight = parts[layer].reshape(count * width, -1, 1, 1)
        z = conv2d(z, weight, parts[3 + layer].reshape(-1), groups=count)
        z = z.relu() if layer < 2 else z
    return z.view(count, side, side)


def ours(tail: RtmDetTail, heads: RtmDetHeads) -> FrameMasks:
    """The tail and the pixels of its masks."""
    found = tail(*heads)
    count = int(found.number[0])
    scale = FRAME_HW[0] / CONTENT_HW[0]
    soft, cell = found.masks[0, :count].numpy(), 8 * scale
    boxes = (found.boxes[0, :count] * SIDE * scale).numpy().astype(np.float32)
    pixels = FrameMasks(Masks(soft, (cell, cell), FRAME_HW, 8, float(LOGIT_SLOPE)), boxes)
    assert len(pixels.regions) == count
    return pixels


def cpu_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = build_network("rtmdet_ins_tiny")
    assert isinstance(model, RtmDet)
    tail, points = RtmDetTail(model), rtmdet_points((SIDE, SIDE))
    rows = []
    for competing in (200, 1000, 4000):
        heads = random_heads(competing)
        forms: dict[str, Callable[[], Any]] = {
            "plain": partial(plain, heads, points),
            "ours": partial(ours, tail, heads),
            "our tail alone": partial(tail, *heads),
        }
        taken: dict[str, list[float]] = {name: [] for name in forms}
        with torch.inference_mode():
            for _ in range(arguments.rounds + 1):
                for name, form in forms.items():
                    taken[name].append(cpu_seconds(form))
        least = {name: min(times[1:]) for name, times in taken.items()}
        masks = len(ours(tail, heads))
        ratio = least["plain"] / least["ours"]
        rows.append({"competing": competing, "masks": masks, "cpu_seconds": least, "ratio": ratio})
    print(json.dumps({"machine": platform.machine(), "threads": arguments.threads, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
