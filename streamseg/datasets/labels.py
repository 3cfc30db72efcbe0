"""What an engine found as annotations, for a person to correct."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from streamseg.datasets.coco import Annotation, Polygon
from streamseg.masks import FrameMasks, Region
from streamseg.structures import Instances

__all__ = ["annotations_from_instances"]

TOLERANCE_PX = 1.0
"""Outlines leave the mask's border by at most so much (Douglas-Peucker): few points are easier to move."""
LEAST_PX = 2.0
"""Parts of a mask that are smaller than this in both directions are left out."""


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


def outer_rings(region: Region) -> tuple[Polygon, ...]:
    """Outlines (n ≥ 3, 2) in pixels of the frame, one for each part."""
    if not region.bits.size:
        return ()
    # OpenCV's outlines run through the centres of border pixels, those of quarters of pixels near their edge.
    quarters = np.repeat(np.repeat(region.bits.view(np.uint8), 2, axis=0), 2, axis=1)
    rings, _ = cv2.findContours(quarters, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = []
    for ring in rings:
        edge = (ring + 0.5) / 2 + region.origin_xy
        simple = cv2.approxPolyDP(edge.astype(np.float32), TOLERANCE_PX, True)[:, 0]
        if len(simple) >= 3 and np.ptp(simple, axis=0).max() >= LEAST_PX:
            outlines.append(np.asarray(simple, np.float32))
    return tuple(outlines)
