"""The whole product against the exact truth of the synthetic scene: masks, outlines and identities."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as rle_codec

from streamseg.evaluation.average_precision import Entry, Judge
from streamseg.evaluation.boundary import boundary_error_px
from streamseg.evaluation.scene_score import SceneScore, mask_ious
from streamseg.evaluation.tracking_scores import TrackedFrame, tracking_scores
from streamseg.masks import Region
from streamseg.scene import SceneTruth
from streamseg.structures import Result

__all__ = ["SceneBenchmark"]

CATEGORY = 1


class SceneBenchmark:
    """Adds up the frames of several scenes; everything in a result counts as the scene's one class."""

    def __init__(self) -> None:
        self._score = SceneScore()
        self._sequences: dict[str, list[TrackedFrame]] = {}
        self._sizes: list[tuple[int, tuple[int, int]]] = []
        self._truth: list[Entry] = []
        self._found: list[Entry] = []
        self._boundary_px: list[float] = []

    def add(self, result: Result, truth: SceneTruth) -> None:
        """One frame's result, of the scene named by its source, and its truth."""
        ious = mask_ious(result, truth)
        matched = self._score.add(result, truth, ious)
        tracked = result.tracks.id > 0
        self._sequences.setdefault(result.frame.source_id, []).append(
            TrackedFrame(truth.ids, result.tracks.id[tracked], ious[tracked].T)
        )
        regions = result.instances.pixels.regions
        self._boundary_px += [boundary_error_px(regions[row], _region(truth, k)) for row, k in matched]
        self._keep(result, truth)

    def _keep(self, result: Result, truth: SceneTruth) -> None:
        image_id = len(self._sizes) + 1
        self._sizes.append((image_id, result.frame.size_hw))
        for row in range(len(truth)):
            self._truth.append(_true_entry(len(self._truth) + 1, image_id, truth, row))
        rows = zip(
            result.instances.xyxy.tolist(),
            result.instances.score.tolist(),
            result.instances.pixels.rles,
            strict=True,
        )
        for (x1, y1, x2, y2), score, mask in rows:
            self._found.append(
                {
                    "image_id": image_id,
                    "category_id": CATEGORY,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "segmentation": dict(mask),
                    "score": score,
                }
            )

    def summary(self) -> dict[str, Any]:
        """AP 0…1, pixels, TrackEval's scores 0…1, counts."""
        judge = Judge(self._sizes, self._truth, self._found, [CATEGORY])
        mask = judge.average_precision("segm")
        tracking = tracking_scores(self._sequences)
        switches = tracking.pop("IDSW")
        matched = self._score.summary()
        return {
            "mask_ap": mask.ap(),
            "mask_ap50": mask.ap(iou=0.5),
            "mask_ap75": mask.ap(iou=0.75),
            "box_ap": judge.average_precision("bbox").ap(),
            "boundary_ap": judge.average_precision("boundary").ap(),
            "mean_iou": matched["mean_iou"],
            "recall": matched["recall"],
            "precision": matched["precision"],
            "boundary_error_px": float(np.mean(self._boundary_px)) if self._boundary_px else None,
            **{name.lower(): value / 100 for name, value in tracking.items()},
            "id_switches": switches,
            "scenes": len(self._sequences),
            "frames": len(self._sizes),
            "instances": len(self._truth),
        }


def _region(truth: SceneTruth, row: int) -> Region:
    x1, y1, x2, y2 = truth.xyxy[row].astype(int).tolist()
    return Region((x1, y1), np.equal(truth.labels[y1:y2, x1:x2], row + 1))


def _true_entry(number: int, image_id: int, truth: SceneTruth, row: int) -> Entry:
    mask = truth.mask(row)
    x1, y1, x2, y2 = truth.xyxy[row].tolist()
    return {
        "id": number,
        "image_id": image_id,
        "category_id": CATEGORY,
        "segmentation": rle_codec.encode(np.asfortranarray(mask.view(np.uint8))),
        "area": int(np.count_nonzero(mask)),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "iscrowd": 0,
    }
