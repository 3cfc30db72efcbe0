"""From what the user typed to a source, by literal rules."""

from __future__ import annotations

import re
from pathlib import Path

from streamseg.addresses import file_path, is_address, shown, split_address
from streamseg.capture.file_source import FileSource
from streamseg.capture.image_source import ImageSource
from streamseg.capture.live_source import LiveSource
from streamseg.capture.source import Source, SourceOptions
from streamseg.capture.synthetic_source import SyntheticSource, parse_synthetic
from streamseg.capture.webcam_source import WebcamSource
from streamseg.errors import SourceError

__all__ = ["SourceOptions", "is_live", "is_stream", "open_source"]


_VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")


def is_live(spec: str) -> bool:
    """Whether frames of this source come when they come: a webcam or a stream. Opens nothing.

    A video file behind http is not live: it may be read as slowly as one likes.
    """
    return _is_webcam(spec) or is_stream(spec)


def is_stream(spec: str) -> bool:
    """Whether it is a live stream behind an address. Opens nothing."""
    if not is_address(spec):
        return False
    parts = split_address(spec)
    of_a_file = parts.scheme in ("http", "https") and parts.path.lower().endswith(_VIDEO_SUFFIXES)
    return not of_a_file and parts.scheme != "file"


def open_source(spec: str, source_id: str, options: SourceOptions | None = None) -> Source:
    """Open a source; raises SourceError or SourceTimeout.

    | spec                                          | source          |
    |-----------------------------------------------|-----------------|
    | `0`, `/dev/video0`                            | webcam          |
    | `rtsp://…`, `http://…`, any scheme            | live stream     |
    | `file:///…`                                   | what the path is |
    | `http://…/clip.mp4`, .mkv, .mov, .webm, .avi  | video file      |
    | `synthetic`, `synthetic:7?frames=300`         | synthetic scene |
    | a folder, or a glob (`*`, `?`, `[`)           | its images      |
    | anything else                                 | video file      |
    """
    if not spec.strip():
        raise SourceError(
            f"a source without a name, {spec!r}: name a file, an address, a webcam or synthetic"
        )
    spec = _without_file_scheme(spec)
    try:
        return _opened(spec, source_id, options or SourceOptions())
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise SourceError(f"{shown(spec)[:200]}: cannot be read ({error.strerror})") from error


def _opened(spec: str, source_id: str, options: SourceOptions) -> Source:
    if _is_webcam(spec):
        return WebcamSource(spec, source_id, options)
    if is_stream(spec):
        return LiveSource(spec, source_id, options)
    if re.match(r"synthetic(?=[:?]|$)", spec):
        return SyntheticSource(parse_synthetic(spec, options), source_id)
    if not is_address(spec) and _is_images(spec):
        return ImageSource(spec, source_id, options.fps)
    return FileSource(spec, source_id, options)


def _is_webcam(spec: str) -> bool:
    return spec.isdecimal() or spec.startswith("/dev/video")


def _without_file_scheme(spec: str) -> str:
    try:
        return file_path(spec)
    except ValueError as error:
        raise SourceError(f"{shown(spec)}: {error}") from error


def _is_images(spec: str) -> bool:
    """A file whose name has a bracket in it is a file."""
    path = Path(spec)
    return path.is_dir() or (not path.exists() and any(sign in spec for sign in "*?["))
