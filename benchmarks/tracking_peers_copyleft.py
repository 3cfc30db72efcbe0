"""Ids of ultralytics' TrackTrack and, where masks are given, of BoxMOT's Sam2Mot: as tracking_peers.py does
it, in an environment of their own, as both packages are under the AGPL.

IN may also have `mask{k}` of sequence k, (boxes, height, width) bool, and `cell{k}`, pixels per cell.
Defaults of the packages; TrackTrack without camera motion, for want of pictures. Neither is told the time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np


def tracktrack(frames: Any, scores: Any, boxes: Any, seen: Any) -> Any:
    import ultralytics  # type: ignore[import-not-found, unused-ignore]
    import yaml
    from ultralytics.engine.results import Boxes  # type: ignore[import-not-found, unused-ignore]
    from ultralytics.trackers.track_tracker import TRACKTRACK  # type: ignore[import-not-found, unused-ignore]

    settings = Path(ultralytics.__file__).parent / "cfg/trackers/tracktrack.yaml"
    tracker = TRACKTRACK(
        SimpleNamespace(**{**yaml.safe_load(settings.read_text(encoding="utf-8")), "gmc_method": "none"})
    )
    ids = np.full(len(boxes), -1, np.int64)
    for frame in seen:
        rows = np.flatnonzero(frames == frame)
        found = np.column_stack((boxes[rows], scores[rows], np.zeros(len(rows)))).astype(np.float32)
        made = tracker.update(Boxes(found.reshape(-1, 6), (1080, 1920)))
        if len(made):
            ids[rows[made[:, 7].astype(int)]] = made[:, 4].astype(np.int64)
    return ids


def sam2mot(frames: Any, scores: Any, boxes: Any, seen: Any, masks: Any, cell: float) -> Any:
    import torch
    from boxmot import Sam2Mot  # type: ignore[import-not-found, unused-ignore]
    from boxmot.structures.detections import Detections  # type: ignore[import-not-found, unused-ignore]
    from boxmot.structures.geometry import Boxes  # type: ignore[import-not-found, unused-ignore]
    from boxmot.structures.masks import MaskBatch  # type: ignore[import-not-found, unused-ignore]

    tracker = Sam2Mot()
    ids = np.full(len(boxes), -1, np.int64)
    for frame in seen:
        rows = np.flatnonzero(frames == frame)
        found = Detections(
            Boxes(torch.from_numpy((boxes[rows] / cell).astype(np.float32))),
            torch.from_numpy(scores[rows].astype(np.float32)),
            torch.zeros(len(rows), dtype=torch.int64),
            "sequence",
            masks=MaskBatch(torch.from_numpy(masks[rows])),
        )
        made = tracker.update(found, np.zeros((*masks.shape[1:], 3), np.uint8))
        at = made.detection_indices.numpy()
        ids[rows[at[at >= 0]]] = made.track_ids.numpy()[at >= 0]
    return ids


def main() -> None:
    given = np.load(sys.argv[1])
    out: dict[str, Any] = {}
    for k in range(len(given["fps"])):
        of_one = [given[f"{key}{k}"] for key in ("frame", "score", "box", "seen")]
        out[f"TrackTrack|{k}"] = tracktrack(*of_one)
        if f"mask{k}" in given:
            out[f"Sam2Mot|{k}"] = sam2mot(*of_one, given[f"mask{k}"], float(given[f"cell{k}"]))
    np.savez(sys.argv[2], **out)


if __name__ == "__main__":
    main()
