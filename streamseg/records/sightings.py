"""What a block says in one line for each track, for those who ask by SQL.

Tested in tests/sinks/test_record_sink.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamseg.records.block import Row
from streamseg.records.store import SightingRow

__all__ = ["sightings_of"]


def sightings_of(
    rows: Sequence[Row], class_names: Sequence[str], run: int, source: str, time: str
) -> list[SightingRow]:
    """One for each track and class in `rows`, and one for each class without a track.

    `time` is when the first frame was captured. Places, of the boxes' middles, and sizes are means over the
    frames, as shares of the picture; None without a box.
    """
    counts = [len(row.score) for row in rows]
    if not sum(counts):
        return []
    track = np.concatenate([row.tracks.id for row in rows])
    class_id = np.concatenate([row.class_id for row in rows])
    score = np.concatenate([row.score for row in rows])
    pts = np.repeat([row.pts_seconds for row in rows], counts)
    size = np.repeat([row.size_hw[::-1] for row in rows], counts, axis=0)
    xyxy = np.concatenate([row.xyxy for row in rows]) / np.tile(size, 2)
    made = []
    for one, kind in np.unique(np.stack([track, class_id], axis=1), axis=0).tolist():
        here = (track == one) & (class_id == kind)
        x1, y1, x2, y2 = xyxy[here].mean(axis=0).tolist()
        tracked = one >= 0 and x2 > x1
        place = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1) if tracked else ()
        x, y, width, height = (round(value, 4) for value in place) if place else (None,) * 4
        made.append(
            SightingRow(
                run,
                source,
                time,
                float(pts[here].min()),
                float(pts[here].max()),
                one if one >= 0 else None,
                class_names[kind],
                int(here.sum()),
                round(float(score[here].max()), 4),
                x,
                y,
                width,
                height,
            )
        )
    return made
