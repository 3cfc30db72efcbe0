"""Which sinks a configuration asks for, and their paths when there are several sources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from streamseg.errors import ConfigError
from streamseg.sinks.base import Sink
from streamseg.sinks.image_sink import ImageSink
from streamseg.sinks.jsonl_sink import JsonlSink
from streamseg.sinks.null_sink import NullSink
from streamseg.sinks.video_sink import VideoSink
from streamseg.sinks.window_sink import WindowSink
from streamseg.streaming.config import OutputConfig

__all__ = ["open_sinks", "output_paths", "source_ids"]


def source_ids(specs: Sequence[str]) -> list[str]:
    """A short unique name for each source: the stem of a file, the host of an address, a webcam's number."""
    names: list[str] = []
    for spec in specs:
        name = _short(spec)
        taken = sum(other == name or other.startswith(f"{name}-") for other in names)
        names.append(f"{name}-{taken + 1}" if taken else name)
    return names


def _short(spec: str) -> str:
    # Credentials of an address (user:password@) must reach no file name, log or screen.
    address = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^@/]*@)?([^?#]*)", spec)
    if address:
        name = address[1].strip("/")
    elif spec.startswith("synthetic"):
        name = spec.split("?")[0]
    else:
        name = Path(spec.rstrip("/")).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "source"


def output_paths(output: OutputConfig, ids: Sequence[str]) -> list[str]:
    """Every file and folder that the run writes, in the order it mentions them."""
    videos = [_video_path(output.video, i, len(ids)) for i in ids] if output.video else []
    return [*videos, *(path for path in (output.jsonl, output.images) if path and path != "-")]


def open_sinks(output: OutputConfig, specs: Sequence[str]) -> dict[str, list[Sink]]:
    """The sinks of each source: a video each; the data file, the image folder and the window are shared.

    Raises ConfigError or SinkError before anything is read, so that a long run cannot fail at its end.
    """
    ids = source_ids(specs)
    _refuse_overwriting_input(output_paths(output, ids), specs)
    sinks: dict[str, list[Sink]] = {i: [] for i in ids}
    if output.video:
        sinks = {i: [VideoSink(_video_path(output.video, i, len(ids)))] for i in ids}
    shared: list[Sink] = []
    if output.jsonl:
        shared.append(JsonlSink(output.jsonl))
    if output.images:
        shared.append(ImageSink(output.images, several_sources=len(ids) > 1))
    if output.show:
        shared.append(WindowSink())  # last: its window would outlive a complaint of the others
    if not shared and not output.video:
        shared.append(NullSink())
    return {i: [*own, *shared] for i, own in sinks.items()}


def _video_path(video: str, source_id: str, count: int) -> str:
    """`out.mp4`, or `out-<source>.mp4` when there are several."""
    path = Path(video)
    return str(path.with_name(f"{path.stem}-{source_id}{path.suffix}")) if count > 1 else video


def _refuse_overwriting_input(paths: Sequence[str], specs: Sequence[str]) -> None:
    inputs = {Path(spec).resolve() for spec in specs if Path(spec).exists()}
    for path in paths:
        if Path(path).resolve() in inputs:
            raise ConfigError(f"{path}: is also the input and would be overwritten; choose another output")
