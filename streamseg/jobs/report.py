"""What `streamseg report` does: a record → one HTML file for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.addresses import printable
from streamseg.capture.open import open_source
from streamseg.errors import ConfigError
from streamseg.files import check_file_replaceable, write_failure, write_text
from streamseg.jobs.render import take_of_clip
from streamseg.records.header import Take
from streamseg.records.page import TakeView, longest_stays, report_page
from streamseg.records.store import RunRecord
from streamseg.records.tally import TakeTally
from streamseg.sinks.collisions import planned_files, refuse_collisions
from streamseg.sinks.jsonl_sink import iso_utc

__all__ = ["report"]

Image = NDArray[np.uint8]

_THUMBNAIL = 220
"""Pixels of its longer side."""
_HEAT_WIDTH = 820
_MARGIN = 0.15
"""Around an object, as a share of its box."""
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82]


def report(path: Path, out: Path, clips: Sequence[str] = ()) -> int:
    """Write what the record `path` amounts to as the HTML file `out`; how many takes it has. `clips` are
    files that it was made of, for pictures of objects.

    Raises ConfigError, also for a clip that is not of the record, or of which nothing may be shown;
    DatasetError, SourceError, SinkError.
    """
    refuse_collisions([str(path), *clips], planned_files({"-o": out}))
    check_file_replaceable(out)
    with RunRecord(path) as recording:
        clip_of = {take_of_clip(recording, clip).key: clip for clip in clips}
        views = [_view(recording, take, clip_of.get(take.key)) for take in recording.takes]
    if not views:
        raise ConfigError(f"{printable(path)}: is empty: no frame was recorded")
    try:
        write_text(out, report_page(path.name, views))
    except OSError as error:
        raise write_failure(out, error) from error
    return len(views)


def _view(recording: RunRecord, take: Take, clip: str | None) -> TakeView:
    tally = TakeTally(len(take.header.classes))
    for block in recording.blocks(take):
        tally.add(block)
    notes = []
    if take.header.redacted:
        hidden = ", ".join(take.header.redacted)
        notes.append(f"Made with redaction of {hidden}: they are counted, and nothing shows where they were.")
    if recording.damage:
        notes.append(f"The record is not whole: {recording.damage}.")
    chosen = {stay.track: (stay.best_index, stay.best_box) for stay in longest_stays(tally)}
    pictures, background = _pictures(clip, chosen) if clip else ({}, None)
    began = iso_utc(tally.first_captured_ns) if tally.frames else "–"
    return TakeView(take, tally, began, _heat(tally, background), pictures, tuple(notes))


def _pictures(
    clip: str, chosen: dict[int, tuple[int, tuple[float, float, float, float]]]
) -> tuple[dict[int, bytes], Image | None]:
    """A JPEG of each track, from the frame in which it was surest, and one frame for the heat map."""
    pictures: dict[int, bytes] = {}
    background = None
    source = open_source(clip, "clip")
    try:
        for frame in source.chosen({index for index, _ in chosen.values()} | {0}):
            background = frame.image if background is None else background
            for track, (index, box) in chosen.items():
                if index == frame.index:
                    pictures[track] = _jpeg(_cut(frame.image, box))
    finally:
        source.close()
    return pictures, background


def _cut(image: Image, box: tuple[float, float, float, float]) -> Image:
    """The object with a margin, at most _THUMBNAIL pixels wide and high."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box
    aside, above = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
    left, top = int(np.clip(x1 - aside, 0, width - 1)), int(np.clip(y1 - above, 0, height - 1))
    right, bottom = int(np.clip(x2 + aside, left + 1, width)), int(np.clip(y2 + above, top + 1, height))
    part = image[top:bottom, left:right]
    scale = min(1.0, _THUMBNAIL / max(part.shape[:2]))
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def _heat(tally: TakeTally, background: Image | None) -> bytes:
    """A JPEG of where something was, over a picture of the clip where there is one."""
    heat = np.sqrt(tally.heat())
    ratio = (
        background.shape[0] / background.shape[1] if background is not None else heat.shape[0] / heat.shape[1]
    )
    size = _HEAT_WIDTH, max(1, round(_HEAT_WIDTH * ratio))
    level = np.clip(cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR), 0, 1)
    colours = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_TURBO)
    if background is None:
        dark = np.zeros_like(colours)
    else:
        grey = cv2.cvtColor(cv2.resize(background, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        dark = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    weight = np.minimum(level * 3, 0.75)[..., None]
    return _jpeg(np.asarray(colours * weight + dark * (1 - weight), np.uint8))


def _jpeg(image: Image) -> bytes:
    return bytes(cv2.imencode(".jpg", image, _JPEG)[1])
