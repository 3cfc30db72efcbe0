"""What an engine found as annotations, for a person to correct."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from streamseg.datasets.coco import Annotation
from streamseg.masks import FrameMasks, outer_rings
from streamseg.structures import Instances

__all__ = ["annotations_from_instances"]


def annotations_from_instances(instances: Instances, class_names: Sequence[str]) -> tuple[Annotation, ...]:
    """One annotation for each instance that has an outline, in their order; holes are filled, since COCO's
    polygons have none. `class_names` by class id."""
    regions = FrameMasks(instances.masks, instances.xyxy).regions
    made = []
    for class_id, region in zip(instances.class_id, regions, strict=True):
        rings = outer_rings(region)
        if rings:
            points = np.concatenate(rings)
            (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
            area = float(sum(cv2.contourArea(ring) for ring in rings))
            made.append(
                Annotation(class_names[class_id], False, rings, None, area, (x0, y0, x1 - x0, y1 - y0))
            )
    return tuple(made)
