"""What an engine does on clips, to be looked at: a sheet of frames for each clip, and what was found in all.

    python benchmarks/gallery.py CLIP [CLIP…] --out FOLDER [--engine compact] [--every 10] [--score 0.3]

Every so-many-th frame is segmented as `streamseg run` does it, without tracking. FOLDER gets CLIP.jpg,
twelve of these frames from the first to the last, whatever is to be seen on them, and counts.json: in how
many frames each class was found, and how many instances were left out because they were another's double.
Nothing is left out for being wrong.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.capture.open import open_source
from streamseg.engines.load import load_engine
from streamseg.engines.locate import find_engine
from streamseg.files import write_bytes, write_json
from streamseg.overlay.painter import Painter
from streamseg.segmenter import Segmenter
from streamseg.streaming.config import RunConfig
from streamseg.structures import Frame, Instances, Tracks

CELLS, ACROSS, CELL_WIDTH = 12, 3, 480

Picture = NDArray[np.uint8]


def main() -> None:
    """Sheets of frames with what an engine finds, and counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--engine", default="compact")
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--score", type=float, default=RunConfig().score)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    counts: dict[str, Any] = {}
    with load_engine(find_engine(options.engine)) as engine:
        both = Segmenter(engine, score=options.score)
        single = Segmenter(engine, score=options.score, double_iou=RunConfig().double_iou)
        for clip in options.clips:
            name = Path(clip).stem
            sheet, counts[name] = looked_at(clip, options.every, both, single)
            write_bytes(options.out / f"{name}.jpg", cv2.imencode(".jpg", sheet)[1].tobytes())
            print(name, json.dumps(counts[name]), flush=True)
    write_json(options.out / "counts.json", counts)


def looked_at(clip: str, every: int, both: Segmenter, single: Segmenter) -> tuple[Picture, dict[str, Any]]:
    """A sheet, and what was found."""
    classes = single.engine.info.classes
    seen: Counter[str] = Counter()
    frames = doubles = 0
    drawn: list[Picture] = []
    for frame in open_source(clip, "clip"):
        if frame.index % every:
            continue
        found = single.segment([frame])[0].instances
        doubles += len(both.segment([frame])[0].instances) - len(found)
        seen.update({classes[k] for k in found.class_id})
        frames += 1
        drawn.append(cell(frame, found, classes))
    chosen = [drawn[round(k)] for k in np.linspace(0, len(drawn) - 1, min(CELLS, len(drawn)))]
    chosen += [np.full_like(chosen[0], 255)] * (-len(chosen) % ACROSS)
    sheet = np.vstack([np.hstack(chosen[k : k + ACROSS]) for k in range(0, len(chosen), ACROSS)])
    return sheet, {"frames": frames, "doubles": doubles, "frames_with": dict(seen.most_common())}


def cell(frame: Frame, found: Instances, classes: tuple[str, ...]) -> Picture:
    """A frame with what was found, in the sheet's size."""
    height, width = frame.size_hw
    scale = CELL_WIDTH / width
    nobody = Tracks(
        np.full(len(found), -1, np.int64),
        np.zeros(len(found), np.float32),
        np.zeros(len(found), np.uint8),
        found.xyxy,
    )
    names = [*classes]
    picture = Painter().draw(frame, found, nobody, names, status=f"{frame.index}")
    size = CELL_WIDTH, round(height * scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    main()
