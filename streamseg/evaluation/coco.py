"""Mask AP of an engine, as COCO defines it, through the same bridge that live video uses."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from streamseg.datasets.coco import CocoImage, read_image
from streamseg.engines.contract import Engine
from streamseg.errors import DatasetError
from streamseg.masks import FrameMasks
from streamseg.segmenter import Segmenter
from streamseg.structures import Frame, Instances

__all__ = ["Subset", "evaluate"]


@dataclass(frozen=True, slots=True)
class Subset:
    """Images of one source, and which classes count in them."""

    images: Sequence[CocoImage]
    labelled: frozenset[str]
    """Classes, by the engine's names, of which every occurrence is annotated: others are not judged here."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Name in the annotations → name in the engine."""


def evaluate(engine: Engine, subsets: Sequence[Subset], score: float = 0.0) -> dict[str, Any]:
    """Mask AP in per cent, over all and by class, of an engine the caller keeps.

    Returns `mask_ap`, `mask_ap50`, `mask_ap75` (means over the classes with at least one instance), `images`,
    `instances`, `classes` (name → the same for it) and `absent`: labelled classes that the engine does not
    have, which are in no mean. At most 100 instances an image, of at least `score`. Raises DatasetError,
    EngineError.
    """
    names = engine.info.classes
    labelled = frozenset().union(*(subset.labelled for subset in subsets))
    judged = [name for name in names if name in labelled]
    if not judged:
        raise DatasetError(
            f"nothing to evaluate: the engine's classes ({', '.join(names)}) are not in the data"
        )
    truth = _truth(subsets, names)
    segmenter = Segmenter(engine, score=score)
    found: list[dict[str, Any]] = []
    for number, subset, image in _numbered(subsets):
        frame = Frame(read_image(image), number, 0.0, 0, "evaluation")
        ((_, instances),) = segmenter.process([frame])
        found += _detections(number, instances, [name in subset.labelled for name in names])
    precision = _precision(truth, found, [names.index(name) + 1 for name in judged])
    return _report(truth, precision, judged, names) | {"absent": sorted(labelled - set(names))}


def _numbered(subsets: Sequence[Subset]) -> Iterator[tuple[int, Subset, CocoImage]]:
    """Every image with a number of its own: ids may repeat between sources."""
    pairs = ((subset, image) for subset in subsets for image in subset.images)
    return ((number, subset, image) for number, (subset, image) in enumerate(pairs, start=1))


def _truth(subsets: Sequence[Subset], names: Sequence[str]) -> dict[str, Any]:
    """The annotations of judged classes in COCO's form; categories are 1 + the engine's class."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, subset, image in _numbered(subsets):
        images.append({"id": number, "height": image.size_hw[0], "width": image.size_hw[1]})
        for annotation in image.annotations:
            name = subset.renamed.get(annotation.class_name, annotation.class_name)
            if name in subset.labelled and name in names:
                entry = {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": names.index(name) + 1,
                    "segmentation": annotation.compressed(image.size_hw),
                    "area": annotation.area,
                    "iscrowd": int(annotation.crowd),
                }
                annotations.append(entry)
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(names)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _detections(number: int, instances: Instances, judged: Sequence[bool]) -> list[dict[str, Any]]:
    kept = instances.select(np.array(judged)[instances.class_id])
    rows = zip(kept.class_id.tolist(), kept.score.tolist(), FrameMasks(kept).rles, strict=True)
    return [
        {"image_id": number, "category_id": k + 1, "segmentation": dict(mask), "score": score}
        for k, score, mask in rows
    ]


def _precision(
    truth: dict[str, Any], found: list[dict[str, Any]], categories: Sequence[int]
) -> NDArray[np.float64]:
    """(T, C) AP by IoU threshold .5, .55 … .95 and category; −1 for a category without instances."""
    # pycocotools prints its progress.
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        if not found:
            return _without_detections(coco, categories)
        judge = COCOeval(coco, coco.loadRes(found), "segm")
        judge.params.catIds = list(categories)
        judge.evaluate()
        judge.accumulate()
    # T thresholds × R recalls × C × areas (0 = all) × limits (the last = 100 detections).
    return np.asarray(judge.eval["precision"][:, :, :, 0, -1].mean(axis=1), np.float64)


def _without_detections(coco: COCO, categories: Sequence[int]) -> NDArray[np.float64]:
    """Nothing found: AP 0 wherever there was something to find (loadRes refuses an empty list)."""
    counts = [len(coco.getAnnIds(catIds=[k], iscrowd=False)) for k in categories]
    return np.where(np.array(counts) > 0, 0.0, -1.0)[None].repeat(10, axis=0)


def _report(
    truth: dict[str, Any], precision: NDArray[np.float64], judged: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    classes = {}
    for column, name in enumerate(judged):
        category = names.index(name) + 1
        own = [a for a in truth["annotations"] if a["category_id"] == category and not a["iscrowd"]]
        if own:
            classes[name] = _aps(precision[:, column]) | {
                "images": len({a["image_id"] for a in own}),
                "instances": len(own),
            }
    if not classes:
        raise DatasetError(f"nothing to evaluate: no instance of {', '.join(judged)} in the data")
    present = precision[:, [judged.index(name) for name in classes]]
    total = {"images": len(truth["images"]), "instances": sum(c["instances"] for c in classes.values())}
    return _aps(present.mean(axis=1)) | total | {"classes": classes}


def _aps(by_threshold: NDArray[np.float64]) -> dict[str, Any]:
    """Per cent, of the ten values of one class, or of their means over classes."""
    ap, ap50, ap75 = 100 * by_threshold.mean(), 100 * by_threshold[0], 100 * by_threshold[5]
    return {"mask_ap": round(ap, 2), "mask_ap50": round(ap50, 2), "mask_ap75": round(ap75, 2)}
