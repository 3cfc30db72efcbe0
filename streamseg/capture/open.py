"""From what the user typed to a source, by literal rules."""

from __future__ import annotations

import re
from pathlib import Path

from streamseg.capture.source import Source, SourceOptions

__all__ = ["SourceOptions", "is_live", "open_source"]


def is_live(spec: str) -> bool:
    """Whether frames of this source come when they come: a webcam or an address. Opens nothing."""
    return _is_webcam(spec) or _is_address(spec)


def open_source(spec: str, source_id: str, options: SourceOptions | None = None) -> Source:
    """Open a source; raises SourceError or SourceTimeout.

    | spec                               | source                        |
    |------------------------------------|-------------------------------|
    | `0`, `/dev/video0`                 | webcam                        |
    | `rtsp://…`, `http://…`, any scheme | live stream                   |
    | `synthetic`, `synthetic:7?frames=9`| made-up scene                 |
    | a folder, or a glob (`*`, `?`, `[`)| its images                    |
    | anything else                      | video file                    |
    """
    options = options or SourceOptions()
    if _is_webcam(spec):
        from streamseg.capture.webcam_source import WebcamSource

        return WebcamSource(spec, source_id, options)
    if _is_address(spec):
        from streamseg.capture.live_source import LiveSource

        return LiveSource(spec, source_id, options)
    if re.match(r"synthetic(?=[:?]|$)", spec):
        from streamseg.capture.synthetic_source import SyntheticSource, parse_synthetic

        return SyntheticSource(parse_synthetic(spec, options), source_id)
    if _is_images(spec):
        from streamseg.capture.image_source import ImageSource

        return ImageSource(spec, source_id, options.fps)
    from streamseg.capture.file_source import FileSource

    return FileSource(spec, source_id)


def _is_webcam(spec: str) -> bool:
    return spec.isdecimal() or spec.startswith("/dev/video")


def _is_address(spec: str) -> bool:
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", spec) is not None


def _is_images(spec: str) -> bool:
    """A file whose name has a bracket in it is a file."""
    path = Path(spec)
    return path.is_dir() or (not path.exists() and any(sign in spec for sign in "*?["))
