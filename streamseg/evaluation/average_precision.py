"""COCO's average precision by pycocotools: masks, boxes, and masks by their boundary."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from streamseg.datasets.coco import Annotation, CocoImage
from streamseg.evaluation.boundary_iou import Boundaries
from streamseg.structures import Instances

__all__ = ["AREAS", "AveragePrecision", "Entry", "Judge", "Kind", "results", "truth_entry"]

Kind = Literal["segm", "bbox", "boundary"]
Entry = dict[str, Any]
"""An annotation or a result in COCO's form."""

AREAS = ("all", "small", "medium", "large")
"""Up to 32² pixels, up to 96², above."""
DETECTIONS = 100
LEAST_IOU = 0.5
Values = NDArray[np.float64]


def truth_entry(number: int, image: CocoImage, annotation: Annotation, image_id: int, category: int) -> Entry:
    """An annotation in COCO's form. `number` counts from 1: pycocotools takes a match with 0 for none."""
    mask = annotation.compressed(image.size_hw)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "segmentation": mask,
        "area": annotation.area,
        "bbox": list(annotation.xywh or rle_codec.toBbox(mask).tolist()),
        "iscrowd": int(annotation.crowd),
    }


def results(image_id: int, instances: Instances, category_of: Mapping[int, int]) -> list[Entry]:
    """The instances of one image in the format of COCO's results, where their class has a category."""
    kept = instances.select(np.array([k in category_of for k in instances.class_id.tolist()], np.bool_))
    rows = zip(kept.class_id.tolist(), kept.score.tolist(), kept.xyxy.tolist(), kept.pixels.rles, strict=True)
    return [
        {
            "image_id": image_id,
            "category_id": category_of[k],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "segmentation": dict(mask),
            "score": score,
        }
        for k, score, (x1, y1, x2, y2), mask in rows
    ]


@dataclass(frozen=True, slots=True, eq=False)
class AveragePrecision:
    """AP of one kind of overlap; −1 where a category has no instance of that size."""

    categories: tuple[int, ...]
    """Ascending."""
    precision: Values
    """(10, C, 4): IoU .5, .55 … .95 × category × size (`AREAS`), mean over 101 recalls."""
    recall: Values
    """(10, C, 4): the highest recall reached."""
    matches: tuple[Mapping[str, Any] | None, ...]
    """pycocotools' record of each image for each category, all sizes; image by image within a category."""

    def ap(self, category: int | None = None, area: str = "all", iou: float | None = None) -> float | None:
        """The mean, 0…1, over what is asked for; over categories that have instances; None without any."""
        return _mean(self._part(self.precision, category, area, iou))

    def ar(self, category: int | None = None) -> float | None:
        """The same of recall: COCO's AR with 100 detections."""
        return _mean(self._part(self.recall, category, "all", None))

    def _part(self, values: Values, category: int | None, area: str, iou: float | None) -> Values:
        part = values[:, :, AREAS.index(area)]
        if category is not None:
            part = part[:, [self.categories.index(category)]]
        return part if iou is None else part[[round((iou - 0.5) / 0.05)]]


def _mean(values: Values) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None


class Judge:
    """Detections of a set of images against its truth; every kind of AP from one loading."""

    def __init__(
        self,
        images: Iterable[tuple[int, tuple[int, int]]],
        truth: Sequence[Entry],
        found: Sequence[Entry],
        categories: Sequence[int],
    ) -> None:
        """`images`: id and height × width of each; only `categories` are judged."""
        listed = [{"id": number, "height": hw[0], "width": hw[1]} for number, hw in images]
        self._categories = sorted(categories)
        self._truth = self._loaded(listed, truth)
        self._found = self._loaded(listed, [_as_loaded(k, f) for k, f in enumerate(found, start=1)])

    def _loaded(self, images: list[Entry], annotations: Sequence[Entry]) -> COCO:
        with _silence():
            coco = COCO()
            coco.dataset = {
                "images": images,
                "annotations": list(annotations),
                "categories": [{"id": k, "name": str(k)} for k in self._categories],
            }
            coco.createIndex()
        return coco

    def average_precision(self, kind: Kind) -> AveragePrecision:
        """COCO's AP at up to 100 detections an image; `boundary` as Cheng et al. 2021 define it."""
        with _silence():
            if kind == "boundary":
                judge: COCOeval = _BoundaryEval(self._truth, self._found, "segm")
            else:
                judge = COCOeval(self._truth, self._found, kind)
            judge.params.catIds = list(self._categories)
            judge.params.maxDets = [DETECTIONS]
            judge.evaluate()
            judge.accumulate()
        images, areas = len(judge.params.imgIds), len(AREAS)
        matches = [
            record
            for column in range(len(self._categories))
            for record in judge.evalImgs[column * areas * images : (column * areas + 1) * images]
        ]
        # T thresholds × R recalls × C × areas × limits of detections.
        precision = np.asarray(judge.eval["precision"][..., 0].mean(axis=1), np.float64)
        recall = np.asarray(judge.eval["recall"][..., 0], np.float64)
        return AveragePrecision(tuple(self._categories), precision, recall, tuple(matches))


def _as_loaded(number: int, result: Entry) -> Entry:
    """A result as COCO.loadRes reads it; loadRes itself fails on an empty list."""
    _, _, width, height = result["bbox"]
    return result | {"id": number, "area": width * height, "iscrowd": 0}


class _BoundaryEval(COCOeval):  # type: ignore[misc]
    """COCOeval on the smaller of mask IoU and boundary IoU.

    Pairs below the least threshold cannot match whatever their boundaries, so that only a few pairs an image
    need them: 100 times fewer than making the boundary of every mask first.
    """

    def __init__(self, truth: COCO, found: COCO, kind: str) -> None:
        super().__init__(truth, found, kind)
        self._boundaries = Boundaries()

    def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803  (pycocotools' names)
        ious = super().computeIoU(imgId, catId)
        truth, found = self._gts[imgId, catId], self._dts[imgId, catId]
        order = np.argsort([-entry["score"] for entry in found], kind="mergesort")
        for row, column in np.argwhere(np.asarray(ious) >= LEAST_IOU).tolist() if len(ious) else ():
            if not truth[column]["iscrowd"]:
                pair = found[order[row]]["segmentation"], truth[column]["segmentation"]
                ious[row, column] = min(ious[row, column], self._boundaries.iou(*pair))
        self._boundaries.forget()
        return ious


@contextlib.contextmanager
def _silence() -> Any:
    """pycocotools prints its progress."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
