"""Everything that is measured of an engine on an annotated data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamseg.datasets.coco import CocoDataset, CocoImage
from streamseg.engine_contract import Engine
from streamseg.errors import DatasetError
from streamseg.evaluation.average_precision import (
    AREAS,
    AveragePrecision,
    Entry,
    Judge,
    Kind,
    results,
    truth_entry,
)
from streamseg.evaluation.boundary_iou import region_from_rle
from streamseg.evaluation.class_match import ClassMatch, match_classes
from streamseg.evaluation.detect import segmented
from streamseg.evaluation.match_table import MatchTable, match_tables
from streamseg.evaluation.panoptic import Category, LabelMap, PanopticQuality, Quality
from streamseg.evaluation.score_calibration import calibration
from streamseg.evaluation.semantic import SemanticMaps
from streamseg.structures import Instances

__all__ = ["SHOWN_SCORE", "Evaluation", "JudgedImage", "Progress", "evaluate_dataset"]

SHOWN_SCORE = 0.3
"""Instances from here on make the panoptic picture: what `streamseg run` shows unless told otherwise."""
LEAST_VISIBLE = 0.5
"""An instance of which others of higher score hide more is left out of it (Kirillov et al. 2019)."""
KINDS: dict[str, Kind] = {"mask": "segm", "box": "bbox", "boundary": "boundary"}

Progress = Callable[[int, int], None]
"""Told of the images done and of their number."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgedImage:
    """One image: what is in it, what was found, how well."""

    image: CocoImage
    truth: tuple[Entry, ...]
    found: tuple[Entry, ...]
    """Those of `SHOWN_SCORE` and more, by descending score."""
    quality: Quality
    """Over all classes."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What `evaluate_dataset` gives."""

    figures: dict[str, Any]
    """Plain numbers, ready for JSON (docs/eval.md)."""
    detections: list[Entry]
    """In COCO's results format, with the file's ids."""
    names: dict[int, str]
    """Category id → name, of the classes judged."""
    images: list[JudgedImage]
    tables: dict[str, MatchTable]
    """By class, of masks; images in ascending order of their ids."""


@dataclass(slots=True, eq=False)
class _Run:
    """What is gathered image by image."""

    classes: ClassMatch
    semantic: SemanticMaps | None
    truth: list[Entry] = field(default_factory=list)
    found: list[Entry] = field(default_factory=list)
    images: list[JudgedImage] = field(default_factory=list)
    quality: PanopticQuality = field(default_factory=PanopticQuality)
    without_pixels: list[str] = field(default_factory=list)

    def add(self, image: CocoImage, instances: Instances) -> None:
        truth = self._truth(image)
        found = results(image.image_id, instances, self.classes.category_of)
        true_map, found_map = self._true_map(image, truth), self._found_map(image, instances)
        if self.semantic:
            self.semantic.add_to(image, true_map, found_map)
        total = Quality()
        for quality in self.quality.add(true_map, found_map).values():
            total.add(quality)
        shown = tuple(entry for entry in found if entry["score"] >= SHOWN_SCORE)
        self.images.append(JudgedImage(image, tuple(truth), shown, total))
        self.truth += truth
        self.found += found

    def _truth(self, image: CocoImage) -> list[Entry]:
        categories = {name: category for category, name in self.classes.name_of.items()}
        judged = [a for a in image.annotations if a.class_name in categories]
        first = len(self.truth) + 1
        return [
            truth_entry(number, image, annotation, image.image_id, categories[annotation.class_name])
            for number, annotation in enumerate(judged, start=first)
        ]

    def _true_map(self, image: CocoImage, truth: Sequence[Entry]) -> LabelMap:
        """Crowds lowest, then large objects, so that small ones in front of them are seen."""
        labels = LabelMap(image.size_hw)
        regions = [(entry, region_from_rle(entry["segmentation"])) for entry in truth]
        for entry, region in sorted(regions, key=lambda r: (not r[0]["iscrowd"], -int(r[1].bits.sum()))):
            labels.add(region, self.classes.name_of[entry["category_id"]], bool(entry["iscrowd"]))
        for entry, region in regions:
            if not region.bits.any():
                name = self.classes.name_of[entry["category_id"]]
                self.without_pixels.append(f"image {image.image_id} ({image.path.name}): {name}")
        return labels

    def _found_map(self, image: CocoImage, instances: Instances) -> LabelMap:
        labels, category_of = LabelMap(image.size_hw), self.classes.category_of
        rows = [
            row
            for row, k in enumerate(instances.class_id.tolist())
            if k in category_of and instances.score[row] >= SHOWN_SCORE
        ]
        shown = instances.select(np.array(rows, np.intp))
        for k, region in zip(shown.class_id.tolist(), shown.pixels.regions, strict=True):
            labels.add_below(region, self.classes.name_of[category_of[k]], 1 - LEAST_VISIBLE)
        return labels


def evaluate_dataset(
    engine: Engine,
    dataset: CocoDataset,
    *,
    left_out: Sequence[str] = (),
    semantic: SemanticMaps | None = None,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Measure `engine`, which the caller keeps, on every image of `dataset` that can be read.

    Detections are whatever the engine returns, at most 100 an image. `left_out` are entries of the file that
    were left out before; they are reported with what is left out here. Raises DatasetError, EngineError.
    """
    run = _Run(match_classes(engine.info.classes, dataset), semantic)
    missing = list(left_out)
    progress(0, len(dataset.images))
    for image, _, instances in segmented(engine, dataset.images, left_out=missing.append):
        run.add(image, instances)
        progress(len(run.images), len(dataset.images))
    if not run.images:
        raise DatasetError(
            f"{dataset.path}: no image that can be read; {missing[0] if missing else 'it lists none'}"
        )
    sizes = [(judged.image.image_id, judged.image.size_hw) for judged in run.images]
    judge = Judge(sizes, run.truth, run.found, list(run.classes.name_of))
    aps = {name: judge.average_precision(kind) for name, kind in KINDS.items()}
    tables = match_tables(aps["mask"], len(sizes))
    figures = _figures(run, aps) | {
        "calibration": calibration(list(tables.values())).as_dict(),
        **_counts(run, missing),
    }
    names = run.classes.name_of
    return Evaluation(figures, run.found, names, run.images, {names[k]: table for k, table in tables.items()})


def _figures(run: _Run, aps: dict[str, AveragePrecision]) -> dict[str, Any]:
    names = run.classes.name_of
    stuff = sorted(run.semantic.seen) if run.semantic else []
    figures: dict[str, Any] = dict(_precision(aps, None))
    figures |= _panoptic(run.quality, [*names.values(), *stuff])
    if run.semantic:
        figures["pq_things"] = _panoptic(run.quality, list(names.values()))["pq"]
        figures["pq_stuff"] = _panoptic(run.quality, stuff)["pq"]
        figures["per_stuff"] = {name: _panoptic(run.quality, [name]) for name in stuff}
    figures["per_class"] = {
        name: _precision(aps, category) | _panoptic(run.quality, [name]) | _occurrence(run, category)
        for category, name in names.items()
    }
    return figures


def _precision(aps: dict[str, AveragePrecision], category: int | None) -> dict[str, float | None]:
    figures = {}
    for name, ap in aps.items():
        figures[f"{name}_ap"] = ap.ap(category)
        figures[f"{name}_ap50"] = ap.ap(category, iou=0.5)
        figures[f"{name}_ap75"] = ap.ap(category, iou=0.75)
    for area in AREAS[1:]:
        figures[f"mask_ap_{area}"] = aps["mask"].ap(category, area)
    figures["ar"] = aps["mask"].ar(category)
    return figures


def _panoptic(quality: PanopticQuality, categories: Sequence[Category]) -> dict[str, float | None]:
    means = quality.mean(categories)
    return dict(zip(("pq", "sq", "rq"), means or (None, None, None), strict=True))


def _occurrence(run: _Run, category: int) -> dict[str, int]:
    own = [e for e in run.truth if e["category_id"] == category and not e["iscrowd"]]
    return {"instances": len(own), "images": len({e["image_id"] for e in own})}


def _counts(run: _Run, left_out: Sequence[str]) -> dict[str, Any]:
    instances = {name: _occurrence(run, k)["instances"] for k, name in run.classes.name_of.items()}
    bare = [judged.image.path.name for judged in run.images if not judged.image.annotations]
    return {
        "images": len(run.images),
        "instances": sum(instances.values()),
        "detections": len(run.found),
        "classes_not_in_engine": list(run.classes.not_in_engine),
        "classes_not_in_data": list(run.classes.not_in_data),
        "classes_without_instances": [name for name, count in instances.items() if not count],
        "images_without_annotations": bare,
        "annotations_without_pixels": run.without_pixels,
        "left_out": list(left_out),
    }
