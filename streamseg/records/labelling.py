"""Formats of labelling tools, for masks to be corrected by hand: CVAT and LabelMe.

Both take polygons, of the mask's outer edges; holes they do not have.
Tested in tests/records/test_formats.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

import cv2

from streamseg.masks import outer_rings
from streamseg.records.read import RecordedFrame, RecordedInstance

__all__ = ["cvat_video", "labelme_file"]


def labelme_file(frame: RecordedFrame, image_name: str) -> dict[str, Any]:
    """One frame as LabelMe keeps it, a polygon for each part; `group_id` is the track."""
    height, width = frame.instances[0].rle["size"] if frame.instances else (0, 0)
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [
            {
                "label": one.class_name,
                "points": ring.tolist(),
                "group_id": one.track,
                "description": f"{one.score:.4f}",
                "shape_type": "polygon",
                "flags": {},
            }
            for one in frame.instances
            for ring in outer_rings(one.region)
        ],
        "imagePath": image_name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def cvat_video(frames: Iterable[RecordedFrame]) -> bytes:
    """CVAT for video 1.1, XML: a track of polygons for each object, of its greatest part in each frame.

    Where an object is not seen its track is `outside`. Instances without a track are left out.
    """
    kept = list(frames)
    seen: dict[int, dict[int, RecordedInstance]] = {}
    for frame in kept:
        for one in frame.instances:
            if one.track is not None:
                seen.setdefault(one.track, {})[frame.index] = one
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    last = max((frame.index for frame in kept), default=0)
    for number, (_, by_frame) in enumerate(sorted(seen.items())):
        names = [one.class_name for one in by_frame.values()]
        label = max(names, key=names.count)
        track = ElementTree.SubElement(root, "track", id=str(number), label=label, source="auto")
        previous: tuple[int, str] | None = None
        for index, one in sorted(by_frame.items()):
            rings = outer_rings(one.region)
            if not rings:
                continue
            if previous and index > previous[0] + 1:
                _polygon(track, previous[0] + 1, previous[1], outside=True)
            points = ";".join(f"{x:.1f},{y:.1f}" for x, y in max(rings, key=cv2.contourArea).tolist())
            _polygon(track, index, points, outside=False)
            previous = index, points
        if previous and previous[0] < last:
            _polygon(track, previous[0] + 1, previous[1], outside=True)
    ElementTree.indent(root)
    made: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return made


def _polygon(track: ElementTree.Element, frame: int, points: str, *, outside: bool) -> None:
    ElementTree.SubElement(
        track,
        "polygon",
        frame=str(frame),
        outside=str(int(outside)),
        occluded="0",
        keyframe="1",
        points=points,
        z_order="0",
    )
