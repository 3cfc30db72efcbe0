"""What `streamseg convert` does: JSON Lines or a record of a run → the format of another tool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from streamseg.addresses import printable
from streamseg.errors import ConfigError, DatasetError
from streamseg.files import write_bytes, write_failure, write_json, write_text
from streamseg.records.coco_results import coco_results, youtube_vis_results
from streamseg.records.labelling import cvat_video, labelme_file
from streamseg.records.read import RecordedFrame, read_frames
from streamseg.records.tracking_text import mot_lines, mots_lines
from streamseg.sinks.collisions import planned_files, refuse_collisions

__all__ = ["FORMATS", "Format", "convert"]

Format = Literal["mot", "mots", "coco", "ytvis", "cvat", "labelme"]
FORMATS: tuple[Format, ...] = ("mot", "mots", "coco", "ytvis", "cvat", "labelme")


def convert(
    path: Path, to: Format, out: Path, *, source: str | None = None, categories: Path | None = None
) -> int:
    """Write the frames of one source in `path`; how many there were.

    `out` is a file, or, for labelme, a folder; `source` is needed where `path` holds several; `categories` is
    a COCO file whose ids are used (coco, ytvis). Raises ConfigError, DatasetError, SinkError.
    """
    refuse_collisions([str(path)], planned_files({"-o": out}))
    frames = _of_one_source(path, source)
    try:
        _write(frames, to, out, categories)
    except OSError as error:
        raise write_failure(out, error) from error
    except ValueError as error:
        raise DatasetError(f"{printable(path)}: {error}") from error
    return len(frames)


def _write(frames: list[RecordedFrame], to: Format, out: Path, categories: Path | None) -> None:
    if to == "labelme":
        out.mkdir(parents=True, exist_ok=True)
        for frame in frames:
            name = f"{frame.index:08d}"
            write_json(out / f"{name}.json", labelme_file(frame, f"{name}.jpg"))
    elif to == "cvat":
        write_bytes(out, cvat_video(frames))
    elif to in ("mot", "mots"):
        lines = (mot_lines if to == "mot" else mots_lines)(frames)
        write_text(out, "".join(f"{line}\n" for line in lines))
    else:
        results = coco_results if to == "coco" else youtube_vis_results
        write_json(out, results(frames, _ids(frames, categories)), indent=None)


def _of_one_source(path: Path, source: str | None) -> list[RecordedFrame]:
    frames = list(read_frames(path))
    sources = sorted({frame.source for frame in frames})
    if source is None and len(sources) > 1:
        listing = ", ".join(sources)
        raise ConfigError(f"{printable(path)}: holds {len(sources)} sources; --source one of: {listing}")
    if source is not None and source not in sources:
        raise ConfigError(f"--source {source}: not in {printable(path)}; there are: {', '.join(sources)}")
    return [frame for frame in frames if source in (None, frame.source)]


def _ids(frames: list[RecordedFrame], categories: Path | None) -> Mapping[str, int]:
    """Category ids by name: those of a COCO file, or from 1 in alphabetical order."""
    if categories is None:
        names = sorted({one.class_name for frame in frames for one in frame.instances})
        return {name: number for number, name in enumerate(names, start=1)}
    try:
        made: dict[str, Any] = json.loads(categories.read_bytes())
        return {str(one["name"]): int(one["id"]) for one in made["categories"]}
    except OSError as error:
        raise DatasetError(f"{printable(categories)}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{printable(categories)}: no COCO file with categories ({error})") from error
