"""COCO's results, and YouTube-VIS's: the same per video. Tested in tests/records/test_formats.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streamseg.records.read import RecordedFrame

__all__ = ["coco_results", "youtube_vis_results"]


def coco_results(frames: Iterable[RecordedFrame], categories: Mapping[str, int]) -> list[dict[str, Any]]:
    """What `pycocotools.coco.COCO.loadRes` reads; `image_id` is the frame's number, from 0.

    `categories` are ids by name; instances of others are left out.
    """
    return [
        {
            "image_id": frame.index,
            "category_id": categories[one.class_name],
            "segmentation": one.rle,
            "bbox": [one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1]],
            "score": one.score,
        }
        for frame in frames
        for one in frame.instances
        if one.class_name in categories
    ]


def youtube_vis_results(
    frames: Iterable[RecordedFrame], categories: Mapping[str, int], video_id: int = 1
) -> list[dict[str, Any]]:
    """One entry for each track, with a mask or null for each frame from 0 to the last; the score is the mean
    of the track's, the class the one it has most."""
    kept = list(frames)
    length = max((frame.index for frame in kept), default=-1) + 1
    masks: dict[int, list[Any]] = {}
    scores: dict[int, list[float]] = {}
    classes: dict[int, list[str]] = {}
    for frame in kept:
        for one in frame.instances:
            if one.track is not None and one.class_name in categories:
                masks.setdefault(one.track, [None] * length)[frame.index] = one.rle
                scores.setdefault(one.track, []).append(one.score)
                classes.setdefault(one.track, []).append(one.class_name)
    return [
        {
            "video_id": video_id,
            "category_id": categories[max(classes[track], key=classes[track].count)],
            "segmentations": masks[track],
            "score": round(sum(scores[track]) / len(scores[track]), 4),
        }
        for track in masks
    ]
