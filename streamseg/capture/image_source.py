"""A folder or a glob of images as a source."""

from __future__ import annotations

import glob
import re
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import cv2
import numpy as np

from streamseg.addresses import printable
from streamseg.capture.source import Source
from streamseg.errors import CorruptSource, SourceError
from streamseg.structures import Frame

__all__ = ["IMAGE_SUFFIXES", "ImageSource"]

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_DEFAULT_FPS = 25.0


class ImageSource(Source):
    """The images of a folder, or those that match a glob, in natural order (img2 before img10).

    Of a folder, files with the suffixes in IMAGE_SUFFIXES are taken, not those of folders in it; of a
    glob all that match. Their media time is index / `fps`. Sizes may differ from image to image. One that
    cannot be decoded is left out, and keeps its index; at the end CorruptSource names the first.
    """

    def __init__(self, pattern: str | Path, source_id: str, fps: float | None = None) -> None:
        super().__init__(source_id, live=False)
        self._paths = _listed(str(pattern))
        self.fps = fps or _DEFAULT_FPS
        self.frame_count = len(self._paths)
        self._index = 0
        self._read = 0
        self._broken: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        yield from self.chosen(range(self._index, len(self._paths)))

    def chosen(self, indexes: Collection[int]) -> Iterator[Frame]:
        """The other images are not read."""
        for index in sorted(i for i in indexes if self._index <= i < len(self._paths)):
            if self._interrupted:
                return
            self._index = index + 1
            try:
                yield self._frame(index)
            except SourceError as error:
                self._broken.append(str(error))
        if self._broken and not self._interrupted:
            raise self._complaint()

    def _frame(self, index: int) -> Frame:
        image = _read(self._paths[index])
        self.size_hw = image.shape[0], image.shape[1]
        self._read += 1
        return Frame(image, index, index / (self.fps or _DEFAULT_FPS), time.monotonic_ns(), self.source_id)

    def _complaint(self) -> SourceError:
        first, more = self._broken[0], len(self._broken) - 1
        others = f", and so were {more} others" if more else ""
        if not self._read:
            return SourceError(first + (f"; no image of {len(self._broken)} can be read" if more else ""))
        return CorruptSource(f"{first}: left out{others}; {self._read} images read")

    def counters(self) -> dict[str, int]:
        return {**super().counters(), "damaged": len(self._broken)}

    def close(self) -> None:
        """Nothing is held."""


def _listed(pattern: str) -> list[Path]:
    folder = Path(pattern)
    if folder.is_dir():
        paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
        wanted = ", ".join(sorted(IMAGE_SUFFIXES))
        missing = f"{printable(pattern)}: no images in this folder (looked for {wanted})"
    else:
        # Path.glob does not take patterns that begin with `..` or `/`.
        matches = glob.glob(pattern, recursive=True)  # noqa: PTH207
        paths = [p for p in map(Path, matches) if p.is_file()]
        missing = f"{printable(pattern)}: no file matches"
    if not paths:
        raise SourceError(missing)
    return sorted(paths, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts numbers within names by their value."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _read(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """BGR, upright (EXIF orientation applied)."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise SourceError(f"{printable(path)}: not an image that can be decoded")
    return np.ascontiguousarray(image, np.uint8)
