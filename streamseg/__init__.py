"""Outlines and follows every object in live video.

import streamseg

for result in streamseg.stream("clip.mp4", score=0.3):
    print(result.frame.pts_seconds, result.tracks.id, result.instances.xyxy)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamseg.version import __version__

if TYPE_CHECKING:
    from streamseg.errors import StreamsegError
    from streamseg.jobs.stream import stream
    from streamseg.structures import Frame, Instances, Masks, Result, Tracks

__all__ = ["Frame", "Instances", "Masks", "Result", "StreamsegError", "Tracks", "__version__", "stream"]

_HOME = {
    "Frame": "structures",
    "Instances": "structures",
    "Masks": "structures",
    "Result": "structures",
    "Tracks": "structures",
    "StreamsegError": "errors",
    "stream": "jobs.stream",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use: `import streamseg` itself takes a few milliseconds."""
    if name not in _HOME:
        raise AttributeError(f"module 'streamseg' has no attribute {name!r}")
    return getattr(import_module(f"streamseg.{_HOME[name]}"), name)
