"""Mask AP over several sources, each of which labels some classes only: the card of an engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamseg.datasets.coco import CocoImage
from streamseg.engine_contract import Engine
from streamseg.errors import DatasetError
from streamseg.evaluation.average_precision import AveragePrecision, Entry, Judge, results, truth_entry
from streamseg.evaluation.detect import segmented

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
    """Mask AP, 0 … 1, over all and by class, of an engine that the caller keeps.

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
    category_of = {k: k + 1 for k, name in enumerate(names) if name in judged}
    truth: list[Entry] = []
    found: list[Entry] = []
    sizes: list[tuple[int, tuple[int, int]]] = []
    everything = list(_numbered(subsets))
    seen = segmented(engine, [image for _, _, image in everything], score)
    for (number, subset, image), (_, _, instances) in zip(everything, seen, strict=True):
        counted = np.array([name in subset.labelled for name in names])[instances.class_id]
        sizes.append((number, image.size_hw))
        found += results(number, instances.select(counted), category_of)
        truth += _truth(number, subset, image, names, len(truth) + 1)
    if not any(not entry["iscrowd"] for entry in truth):
        raise DatasetError(f"nothing to evaluate: no instance of {', '.join(judged)} in the data")
    ap = Judge(sizes, truth, found, list(category_of.values())).average_precision("segm")
    return _report(ap, truth, names, len(sizes)) | {"absent": sorted(labelled - set(names))}


def _numbered(subsets: Sequence[Subset]) -> Iterator[tuple[int, Subset, CocoImage]]:
    """Every image with a number of its own: ids may repeat between sources."""
    pairs = ((subset, image) for subset in subsets for image in subset.images)
    return ((number, subset, image) for number, (subset, image) in enumerate(pairs, start=1))


def _truth(
    number: int, subset: Subset, image: CocoImage, names: Sequence[str], first: int
) -> Iterator[Entry]:
    """The annotations of an image that are judged, from number `first` on; categories are 1 + the class."""
    for annotation in image.annotations:
        name = subset.renamed.get(annotation.class_name, annotation.class_name)
        if name in subset.labelled and name in names:
            yield truth_entry(first, image, annotation, number, names.index(name) + 1)
            first += 1


def _report(
    ap: AveragePrecision, truth: Sequence[Entry], names: Sequence[str], images: int
) -> dict[str, Any]:
    classes = {}
    for category in ap.categories:
        own = [a for a in truth if a["category_id"] == category and not a["iscrowd"]]
        if own:
            classes[names[category - 1]] = _aps(ap, category) | {
                "images": len({a["image_id"] for a in own}),
                "instances": len(own),
            }
    total = {"images": images, "instances": sum(c["instances"] for c in classes.values())}
    return _aps(ap) | total | {"classes": classes}


def _aps(ap: AveragePrecision, category: int | None = None) -> dict[str, float]:
    """Of one class, or means over the classes; 0 … 1."""
    values = {"mask_ap": None, "mask_ap50": 0.5, "mask_ap75": 0.75}
    return {name: round(ap.ap(category, iou=iou) or 0.0, 4) for name, iou in values.items()}
