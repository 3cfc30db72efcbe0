"""Small texts in filled boxes that stay inside the frame and keep off each other."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.overlay.palette import Colour

__all__ = ["Labels", "Rect", "Style", "drawable", "style_for"]

Box = tuple[float, float, float, float]
"""x1 y1 x2 y2 in frame pixels."""

FONT = cv2.FONT_HERSHEY_SIMPLEX
# OpenCV 5 draws this font from outlines with Unicode glyphs; before, it had ASCII strokes only.
HAS_UNICODE = int(cv2.__version__.partition(".")[0]) >= 5

# OpenCV 5 wraps a text that meets the edge of its image; getTextSize may be a pixel short.
_SLACK = 2

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


class Rect(NamedTuple):
    """x0 y0 x1 y1 in whole pixels, x1 and y1 exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    def overlaps(self, other: Rect) -> bool:
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1


class Style(NamedTuple):
    """Sizes that suit one frame size."""

    scale: float
    """Font scale of cv2.putText."""
    stroke: int
    """Thickness of text where the font has strokes, pixels."""
    line: int
    """Thickness of outlines and trails, pixels."""
    padding: int
    height: int
    """Of a label with its padding, pixels."""
    baseline: int
    """From a label's top to the text's baseline, pixels."""


def style_for(frame_hw: tuple[int, int]) -> Style:
    """Sizes in proportion to the frame's shorter side, but no text smaller than can be read."""
    short = min(frame_hw)
    scale = max(0.4, short / 720 * 0.5)
    padding = max(2, round(6 * scale))
    ascent, descent = round(28 * scale), round(9 * scale)
    height = ascent + descent + padding
    # With OpenCV 5 a stroke above 1 means bold, and only in the scripts whose font has that.
    stroke = 1 if HAS_UNICODE else max(1, round(scale))
    return Style(scale, stroke, max(1, round(short / 400)), padding, height, padding // 2 + ascent)


def drawable(text: str, has_unicode: bool = HAS_UNICODE) -> str:
    """`text` on one line, in characters that the font has: accents are dropped, others become `?`."""
    line = " ".join(text.split())
    if has_unicode or line.isascii():
        return line
    plain = (c for c in unicodedata.normalize("NFKD", line) if not unicodedata.combining(c))
    return "".join(c if c.isascii() else "?" for c in plain)


class Labels:
    """The labels of one frame; the first ones added get the best places and lie on top."""

    def __init__(self, canvas: NDArray[np.uint8], style: Style) -> None:
        self._canvas = canvas
        self._style = style
        self._placed: list[tuple[Rect, str, Colour]] = []

    def add(self, name: str, suffix: str, box: Box, colour: Colour) -> Rect:
        """Place `name` + `suffix` by `box`, where it is free if possible; the rectangle to be filled.

        A name that would make the label wider than a third of the frame is shortened, if the frame
        is not small.
        """
        limit = min(max(self._canvas.shape[1] // 3, 8 * self._style.height), self._canvas.shape[1])
        text, width = self._fitted(drawable(name), suffix, limit)
        rect = self._place(box, width)
        self._placed.append((rect, text, colour))
        return rect

    def add_status(self, text: str) -> Rect:
        """Place `text` in the top left corner, white on black; the rectangle to be filled."""
        shown, width = self._fitted(drawable(text), "", self._canvas.shape[1])
        rect = self._inside(0, 0, width)
        self._placed.append((rect, shown, _BLACK))
        return rect

    def draw(self) -> None:
        """Draw all on the canvas."""
        for rect, text, colour in reversed(self._placed):
            size_hw = rect.y1 - rect.y0, rect.x1 - rect.x0
            self._canvas[rect.y0 : rect.y1, rect.x0 : rect.x1] = _picture(text, size_hw, colour, self._style)

    def _fitted(self, name: str, suffix: str, limit: int) -> tuple[str, int]:
        """The text, its name shortened until it is at most `limit` wide, and its width with padding."""
        text, width = f"{name}{suffix}", self._width(f"{name}{suffix}")
        while width > limit and name:
            # In proportion first, so that a name of any length takes a few steps.
            name = name[: min(len(name) - 1, len(name) * limit // width)]
            text = f"{name}{drawable('…')}{suffix}"
            width = self._width(text)
        return text, width

    def _width(self, text: str) -> int:
        (width, _), _ = cv2.getTextSize(text, FONT, self._style.scale, self._style.stroke)
        return width + 2 * self._style.padding + _SLACK

    def _inside(self, x: float, y: float, width: int) -> Rect:
        """The rectangle of a label, moved into the frame."""
        height = self._style.height
        x0 = max(0, min(round(x), self._canvas.shape[1] - width))
        y0 = max(0, min(round(y), self._canvas.shape[0] - height))
        return Rect(x0, y0, min(x0 + width, self._canvas.shape[1]), min(y0 + height, self._canvas.shape[0]))

    def _place(self, box: Box, width: int) -> Rect:
        """The best free place, or the best one of all when none is free."""
        corners = _corners(box, width, self._style.height)
        first = self._inside(*next(corners), width)
        # One by one: most labels take the first place.
        places = chain([first], (self._inside(x, y, width) for x, y in corners))
        return next((rect for rect in places if not self._is_taken(rect)), first)

    def _is_taken(self, rect: Rect) -> bool:
        return any(rect.overlaps(other) for other, _, _ in self._placed)


# Text takes 30 µs to draw and 1 to copy; a track's score moves among few hundredths. At most 4 MB at 720p.
@lru_cache(maxsize=512)
def _picture(text: str, size_hw: tuple[int, int], colour: Colour, style: Style) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 BGR, read-only: `text` on `colour`. No glyph, however tall, leaves it."""
    picture = np.empty((*size_hw, 3), np.uint8)
    picture[:] = colour
    ink = _WHITE if colour == _BLACK else _BLACK
    where = style.padding, style.baseline
    cv2.putText(picture, text, where, FONT, style.scale, ink, style.stroke, cv2.LINE_AA)
    picture.flags.writeable = False
    return picture


def _corners(box: Box, width: int, height: int) -> Iterator[tuple[float, float]]:
    """Top left corners to try for a label by `box`, best first."""
    x0, y0, x1, y1 = box
    yield x0, y0 - height
    yield x1 - width, y0 - height
    yield x0, y0
    yield x0, y1
    yield x1, y0
    yield x0 - width, y0
    yield x0, (y0 + y1 - height) / 2
    yield x0, y1 - height
