"""The worst images as one picture: what is there on the left, what was found on the right.

Tested in tests/evaluation/test_dataset_eval.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.datasets.coco import read_image
from streamseg.evaluation.average_precision import Entry
from streamseg.evaluation.boundary_iou import region_from_rle
from streamseg.evaluation.dataset_eval import JudgedImage
from streamseg.masks import Region
from streamseg.overlay.labels import Labels, style_for
from streamseg.overlay.palette import PALETTE, Colour
from streamseg.overlay.tint import Tint

__all__ = ["contact_sheet", "worst"]

CELL_HW = 320, 420
COUNT = 12
ACROSS = 2
_GAP = 6
Picture = NDArray[np.uint8]


def worst(images: Sequence[JudgedImage], count: int = COUNT) -> list[JudgedImage]:
    """Those with errors, by panoptic quality of all their segments, then by the number of errors."""
    wrong = [judged for judged in images if judged.quality.extra + judged.quality.missed]
    errors = sorted(wrong, key=lambda j: (j.quality.pq, -j.quality.extra - j.quality.missed))
    return errors[:count]


def contact_sheet(images: Sequence[JudgedImage], names: Mapping[int, str]) -> Picture:
    """(H, W, 3) uint8 BGR: a pair for each image, two pairs side by side; `names` by category id.

    Raises DatasetError when an image can no longer be read.
    """
    pairs = [_pair(judged, names) for judged in images]
    blank = np.full_like(pairs[0], 255) if pairs else np.full((*CELL_HW, 3), 255, np.uint8)
    pairs += [blank] * (-len(pairs) % ACROSS)
    rows = [np.hstack(pairs[k : k + ACROSS]) for k in range(0, len(pairs), ACROSS)]
    return np.vstack(rows or [blank])


def _pair(judged: JudgedImage, names: Mapping[int, str]) -> Picture:
    image = read_image(judged.image)
    scale = min(CELL_HW[0] / image.shape[0], CELL_HW[1] / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    q = judged.quality
    told = f"{judged.image.path.name}: PQ {100 * q.pq:.0f}, {q.missed} missed, {q.extra} extra"
    left = _cell(small, scale, judged.truth, names, told)
    right = _cell(small, scale, judged.found, names, "found")
    return np.hstack([left, right])


def _cell(
    small: Picture, scale: float, entries: Sequence[Entry], names: Mapping[int, str], told: str
) -> Picture:
    canvas = small.copy()
    colours = [PALETTE[e["category_id"] % len(PALETTE)] for e in entries]
    Tint().apply(canvas, small, [_scaled(e, scale, canvas) for e in entries], colours)
    style = style_for(canvas.shape[:2])
    labels = Labels(canvas, style)
    labels.add_status(told)
    for entry, colour in zip(entries, colours, strict=True):
        _label(labels, canvas, entry, names, colour, scale)
    labels.draw()
    cell = np.full((CELL_HW[0] + _GAP, CELL_HW[1] + _GAP, 3), 255, np.uint8)
    cell[: canvas.shape[0], : canvas.shape[1]] = canvas
    return cell


def _label(
    labels: Labels, canvas: Picture, entry: Entry, names: Mapping[int, str], colour: Colour, scale: float
) -> None:
    x, y, w, h = (scale * v for v in entry["bbox"])
    corners = [(round(x), round(y)), (round(x + w), round(y + h))]
    cv2.rectangle(canvas, corners[0], corners[1], colour, 1)
    suffix = f" {entry['score']:.2f}" if "score" in entry else " crowd" if entry["iscrowd"] else ""
    labels.add(names[entry["category_id"]], suffix, (x, y, x + w, y + h), colour)


def _scaled(entry: Entry, scale: float, canvas: Picture) -> Region:
    """The region in pixels of the small picture."""
    (x, y), bits = region_from_rle(entry["segmentation"])
    left, top = int(x * scale), int(y * scale)
    width = min(max(1, round(bits.shape[1] * scale)), canvas.shape[1] - left)
    height = min(max(1, round(bits.shape[0] * scale)), canvas.shape[0] - top)
    if not bits.size or width < 1 or height < 1:
        return Region((0, 0), np.zeros((0, 0), np.bool_))
    shrunk = cv2.resize(bits.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return Region((left, top), np.ascontiguousarray(shrunk).view(np.bool_))
