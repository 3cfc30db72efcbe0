"""Boxes, masks and ids of a video, frame by frame, from files: MOTChallenge, MOTS, our own.

The files come from elsewhere: every number is checked, and an error names file and line.
"""

from __future__ import annotations

import configparser
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamseg.datasets.coco import checked_rle
from streamseg.errors import DatasetError
from streamseg.records.read import read_frames
from streamseg.records.store import is_record

__all__ = ["SequenceFile", "SequenceFrame", "read_sequence_file"]

Kind = Literal["mot", "mots", "jsonl"]
MAX_FRAMES = 10_000_000
"""Later frames are refused: a frame's number decides how long the sequence is taken to be."""
MAX_PIXELS = 2**26
FARTHEST = 1e6
"""Pixels; boxes that reach further are refused."""


@dataclass(frozen=True, slots=True, eq=False)
class SequenceFrame:
    """What a file says of one frame, by row."""

    ids: NDArray[np.int64]
    """(N,) int64; -1: none."""
    class_names: tuple[str, ...]
    """Of each row; empty text where the file has no classes."""
    score: NDArray[np.float64]
    """(N,) float64; in a truth of MOTChallenge 0 where the row is not to be scored."""
    xyxy: NDArray[np.float64]
    """(N, 4) float64, pixels of the frame; of the masks where the file has no boxes."""
    rles: tuple[Mapping[str, Any], ...] | None
    """COCO's run lengths of each row; None in a file of boxes."""


@dataclass(frozen=True, slots=True, eq=False)
class SequenceFile:
    """All of one file."""

    path: Path
    kind: Kind
    frames: Mapping[int, SequenceFrame]
    """By number, from 0; frames without a row may be missing."""
    length: int
    """Frames of the sequence, as seqinfo.ini beside says, else up to the last in the file."""
    times: Mapping[int, float]
    """Media seconds by frame number, where the file says them."""
    fps: float | None
    """From seqinfo.ini beside, if any."""
    frame_hw: tuple[int, int] | None
    """Height and width from the masks or seqinfo.ini, if known."""
    name: str
    """Of the sequence: seqinfo.ini's, else the file's."""


@dataclass(frozen=True, slots=True)
class _Row:
    frame: int
    name: int
    class_name: str
    score: float
    xyxy: tuple[float, float, float, float]
    rle: Mapping[str, Any] | None


def read_sequence_file(path: Path) -> SequenceFile:
    """The file at `path`: records and `.jsonl` are ours; of other text, commas make MOTChallenge and blanks
    MOTS.

    `seqinfo.ini` in its folder or the one above tells length, rate and size. Raises DatasetError.
    """
    about = _seqinfo(path)
    times: dict[int, float] = {}
    kind: Kind = "mot"
    rows: list[_Row] = []
    if is_record(path):
        kind, rows = "jsonl", _rows_of_record(path, times)
    for number, line in _lines(path) if kind != "jsonl" else ():
        try:
            if path.suffix == ".jsonl":
                kind = "jsonl"
                rows += _json_rows(line, times)
            elif "," in line:
                rows.append(_mot_row(line))
            else:
                kind = "mots"
                rows.append(_mots_row(line))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DatasetError(f"{path}, line {number}: {_reason(error)}") from error
    frames = _by_frame(path, rows, kind)
    last = max([*frames, *times], default=-1)
    size = next((tuple(row.rle["size"]) for row in rows if row.rle is not None), None)
    return SequenceFile(
        path,
        kind,
        frames,
        max(last + 1, int(about.get("seqlength", 0))),
        times,
        about.get("framerate"),
        size or (int(about["imheight"]), int(about["imwidth"])) if size or "imheight" in about else None,
        about.get("name", path.stem),
    )


def _rows_of_record(path: Path, times: dict[int, float]) -> list[_Row]:
    """Raises DatasetError where it has several sources."""
    rows = []
    for frame in read_frames(path):
        if frame.index in times:
            raise DatasetError(
                f"{path}: frame {frame.index} is there twice; give each source a record of its own"
            )
        times[frame.index] = frame.pts_seconds
        rows += [
            _Row(
                frame.index,
                -1 if one.track is None else one.track,
                one.class_name,
                one.score,
                one.box,
                one.rle,
            )
            for one in frame.instances
        ]
    return rows


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); name a text file of tracks") from error


def _seqinfo(path: Path) -> dict[str, Any]:
    """The section [Sequence] of seqinfo.ini, numbers as numbers; empty where there is none."""
    place = next((f / "seqinfo.ini" for f in path.parents[:2] if (f / "seqinfo.ini").is_file()), None)
    if place is None:
        return {}
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(place, encoding="utf-8")
        section = dict(parser["Sequence"])
        found: dict[str, Any] = {
            key: _number(section[key], 1e-3, MAX_FRAMES)
            for key in ("framerate", "seqlength", "imwidth", "imheight")
            if key in section
        }
    except (configparser.Error, KeyError, ValueError, UnicodeDecodeError) as error:
        raise DatasetError(f"{place}: {_reason(error)}; write it as MOTChallenge does") from error
    return found | ({"name": section["name"]} if "name" in section else {})


def _number(text: Any, low: float, high: float) -> float:
    value = float(text)
    if not low <= value <= high:
        raise ValueError(f"{str(text)[:20]} is not within {low:g}…{high:g}")
    return value


def _whole(text: Any, low: int, high: int) -> int:
    value = _number(text, low, high)
    if value != int(value):
        raise ValueError(f"{str(text)[:20]} is no whole number")
    return int(value)


def _size(height: Any, width: Any) -> tuple[int, int]:
    """Of a mask; bounded, as pixels are made of it."""
    size = _whole(height, 1, MAX_PIXELS), _whole(width, 1, MAX_PIXELS)
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"a mask of {size[0]} x {size[1]} pixels is larger than any video")
    return size


def _mot_row(line: str) -> _Row:
    """frame, id, left, top, width, height, score or flag, class, …"""
    parts = line.split(",")
    if len(parts) < 6:
        raise ValueError("needs frame, id, left, top, width, height, separated by commas")
    left, top, width, height = (_number(part, -FARTHEST, FARTHEST) for part in parts[2:6])
    score = float(parts[6]) if len(parts) > 6 else 1.0
    if math.isnan(score):
        raise ValueError("the score is not a number")
    of_class = _whole(parts[7], -1, 1000) if len(parts) > 8 and _is_whole(parts[7]) else -1
    return _Row(
        _whole(parts[0], 1, MAX_FRAMES) - 1,
        _whole(parts[1], -1, 2**53),
        str(of_class) if of_class > 0 else "",
        score,
        (left, top, left + width, top + height),
        None,
    )


def _is_whole(text: str) -> bool:
    # Truth has a class in this place; results and detections have world coordinates or -1.
    return text.strip().lstrip("-").isdigit()


def _mots_row(line: str) -> _Row:
    """frame id class height width rle, separated by blanks."""
    parts = line.split()
    if len(parts) != 6:
        raise ValueError("needs frame, id, class, height, width and run lengths, separated by blanks")
    size = _size(parts[3], parts[4])
    rle = checked_rle({"size": list(size), "counts": parts[5]}, size)
    frame, name = _whole(parts[0], 1, MAX_FRAMES) - 1, _whole(parts[1], 0, 2**53)
    return _Row(frame, name, str(_whole(parts[2], 0, 1000)), 1.0, _box_of(rle), rle)


def _json_rows(line: str, times: dict[int, float]) -> list[_Row]:
    """The instances of one line of docs/jsonl.md."""
    record = json.loads(line)
    if not isinstance(record, dict) or not isinstance(record.get("instances"), list):
        raise ValueError("is not a frame of `streamseg run --jsonl`")
    frame = _whole(record["index"], 0, MAX_FRAMES - 1)
    if frame in times:
        raise ValueError(f"frame {frame} is there twice; give each source a file of its own")
    times[frame] = _number(record["pts"], -1e12, 1e12)
    rows = []
    for entry in record["instances"]:
        if not isinstance(entry, dict):
            raise ValueError("an instance is not an object")
        x1, y1, x2, y2 = (_number(side, -FARTHEST, FARTHEST) for side in entry["box"])
        mask = entry.get("mask")
        rle = checked_rle(mask, _size(*mask["size"])) if mask else None
        name = -1 if entry["id"] is None else _whole(entry["id"], 0, 2**53)
        score = _number(entry["score"], 0, 1)
        rows.append(_Row(frame, name, str(entry["class"]), score, (x1, y1, x2, y2), rle))
    return rows


def _box_of(rle: Mapping[str, Any]) -> tuple[float, float, float, float]:
    from pycocotools import mask as rle_codec

    x, y, w, h = (float(side) for side in rle_codec.toBbox(rle))
    return x, y, x + w, y + h


def _by_frame(path: Path, rows: list[_Row], kind: Kind) -> dict[int, SequenceFrame]:
    """The rows, frame by frame. Raises DatasetError for an id twice in a frame, for masks of some only."""
    together: dict[int, list[_Row]] = {}
    for row in rows:
        together.setdefault(row.frame, []).append(row)
    with_masks = {row.rle is not None for row in rows}
    sizes = {tuple(row.rle["size"]) for row in rows if row.rle is not None}
    if len(with_masks) > 1 or len(sizes) > 1:
        raise DatasetError(f"{path}: all rows need a mask, of one size, or none; write the file again")
    frames = {}
    for frame, of_one in together.items():
        named = [
            row.name for row in of_one if row.name >= 0 and not (kind == "mots" and row.class_name == "10")
        ]
        if len(named) != len(set(named)):
            raise DatasetError(
                f"{path}, frame {frame + (kind != 'jsonl')}: an id is there twice; ids are of one object"
            )
        frames[frame] = SequenceFrame(
            np.array([row.name for row in of_one], np.int64),
            tuple(row.class_name for row in of_one),
            np.array([row.score for row in of_one]),
            np.array([row.xyxy for row in of_one]).reshape(-1, 4),
            tuple(row.rle for row in of_one if row.rle is not None) if with_masks == {True} else None,
        )
    return frames
