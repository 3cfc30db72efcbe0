"""A folder of annotated images, one file per frame."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from streamseg.addresses import printable
from streamseg.errors import ConfigError, SinkError
from streamseg.files import remove_stale_parts, write_failure
from streamseg.pictures import write_picture
from streamseg.sinks.base import canvas_of
from streamseg.structures import Result

__all__ = ["IMAGE_KINDS", "ImageSink"]

# OpenCV's own defaults, measured at 720p: JPEG quality 95 in 2 ms; PNG in 16 ms, level 1 takes 30.
IMAGE_KINDS = ("jpg", "png")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


_OUR_NAMES = re.compile(rf"(.+_)?\d{{8,}}\.({'|'.join(IMAGE_KINDS)})")


class ImageSink:
    """Writes `Result.canvas` to `<folder>/<index>.jpg`, the index in eight digits.

    With several sources, to `<folder>/<source>_<index>.jpg`; characters that do not belong in file
    names become `_`. Every file appears whole or not at all. The folder is created; files of the
    same name are replaced, others stay.
    """

    needs_canvas = True

    def __init__(self, folder: str | Path, kind: str = "jpg", *, several_sources: bool = False) -> None:
        """`kind`: `jpg` or `png`. Raises ConfigError for another, SinkError if the folder is not writable."""
        if kind not in IMAGE_KINDS:
            known = " or ".join(IMAGE_KINDS)
            raise ConfigError(f"{printable(folder)}: no image format {kind!r}; use {known}")
        self.folder = Path(folder)
        self.frames = 0
        """Images written."""
        self._kind = kind
        self._several_sources = several_sources
        self._stems: dict[str, str] = {}
        self._closed = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
            remove_stale_parts(self.folder, _OUR_NAMES)
        except FileExistsError as error:
            raise SinkError(f"{printable(folder)}: is a file; images need a folder") from error
        except OSError as error:
            raise write_failure(self.folder, error) from error

    def write(self, result: Result) -> None:
        """Write one image. Raises SinkError."""
        if self._closed:
            raise SinkError(f"{printable(self.folder)}: already closed")
        path = self.folder / f"{self._stem(result.frame.source_id)}{result.frame.index:08d}.{self._kind}"
        try:
            # Not synced: a power cut may take the last pictures, and a disk would hold up every frame.
            write_picture(path, canvas_of(result), sync=False, follow_links=False)
        except OSError as error:
            self._closed = True
            raise write_failure(path, error) from error
        self.frames += 1

    def close(self) -> None:
        """Nothing to finalise: every image is complete."""
        self._closed = True

    def _stem(self, source_id: str) -> str:
        if not self._several_sources:
            return ""
        if source_id not in self._stems:
            stem = _NOT_IN_NAMES.sub("_", source_id).strip("_.") or "source"
            taken = set(self._stems.values())
            number = 2
            unique = stem
            while f"{unique}_" in taken:
                unique, number = f"{stem}-{number}", number + 1
            self._stems[source_id] = f"{unique}_"
        return self._stems[source_id]
