"""What was last seen of each source, moved on to a frame that the engine was not asked about.

Tested in tests/streaming/test_contract.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamseg.geometry import clip_boxes
from streamseg.masks import shifted
from streamseg.structures import Instances, Segmented, Tracks
from streamseg.tracking.tracker import Tracker

__all__ = ["Coast"]

Seen = tuple[Segmented, Tracks]


class Coast:
    """Keeps, of each source, the newest frame that the engine saw, as it was shown. For one thread."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}

    def remember(self, kept: Segmented, tracks: Tracks) -> None:
        """What the engine found in a frame, as far as it is shown, and the tracks of it."""
        self._seen[kept.frame.source_id] = kept, tracks

    def moved(self, item: Segmented, tracker: Tracker) -> Seen:
        """`item` with the instances of the frame before it, each where its track is by now.

        An instance without a track stays where it was. Nothing where nothing was seen, in another size, or
        longer ago than a track lives unseen.
        """
        kept, tracks = self._seen.get(item.frame.source_id, (item, Tracks.untracked(item.instances)))
        size_hw = item.frame.size_hw
        step = item.frame.pts_seconds - kept.frame.pts_seconds
        if kept.frame.size_hw != size_hw or step > tracker.config.lost_seconds:
            return item, Tracks.untracked(item.instances)
        ids, boxes = tracker.ahead(item.frame.pts_seconds)
        place = {track: row for row, track in enumerate(ids.tolist())}
        rows = np.array([place.get(track, -1) for track in tracks.id.tolist()], np.intp)
        then = np.where(rows[:, None] >= 0, boxes[rows], tracks.xyxy) if len(boxes) else tracks.xyxy
        corners = then - tracks.xyxy
        by_xy = (corners[:, :2] + corners[:, 2:]) / 2
        found = kept.instances
        xyxy = clip_boxes((found.xyxy + np.tile(by_xy, 2)).astype(np.float32), size_hw)
        instances = Instances(xyxy, found.score, found.class_id, shifted(found.masks, by_xy))
        # One that has left the frame altogether is not there any more.
        there = np.flatnonzero((xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1]))
        aged = np.where(tracks.id >= 0, tracks.age_seconds + np.float32(max(step, 0)), tracks.age_seconds)
        moved = Tracks(tracks.id, aged.astype(np.float32), tracks.state, then.astype(np.float32))
        stuff = kept.stuff and kept.stuff.select(there, len(found))
        return replace(item, instances=instances.select(there), stuff=stuff), moved.select(there)

    def forget(self, source_id: str) -> None:
        self._seen.pop(source_id, None)
