"""Some frames of a clip, spread evenly over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from streamseg.addresses import short_name, shown
from streamseg.capture.file_source import FileSource
from streamseg.capture.open import is_live, open_source
from streamseg.capture.source import Source
from streamseg.errors import SourceError
from streamseg.structures import Frame

__all__ = ["evenly", "sampled_frames"]


def evenly(total: int, count: int) -> list[int]:
    """At most `count` ascending places among 0 … total − 1, each in the middle of its share."""
    count = min(count, total)
    return [(2 * k + 1) * total // (2 * count) for k in range(count)]


def sampled_frames(spec: str, count: int) -> Iterator[Frame]:
    """At most `count` frames of a file, a folder, a glob of images or a synthetic scene with an end.

    Frames between them cost no more than they must: images are not read, video is decoded but not converted.
    Raises SourceError, also for sources without an end, and CorruptSource where a file breaks off before the
    last of them.
    """
    if is_live(spec):
        raise SourceError(f"{shown(spec)}: a live source; name a clip or a folder of images instead")
    with closing(open_source(spec, short_name(spec))) as source:
        yield from source.chosen(evenly(_length(source, spec), count))


def _length(source: Source, spec: str) -> int:
    """How many frames there are, counted where the container does not say."""
    if source.frame_count is not None:
        return source.frame_count
    if not isinstance(source, FileSource):
        raise SourceError(f"{shown(spec)}: has no end; say how many frames, such as synthetic?frames=300")
    with closing(open_source(spec, short_name(spec))) as counted:
        return sum(1 for _ in counted)
