"""The picture people see: masks, outlines, labels, trails and a status line on a copy of the frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.masks import Region, contours
from streamseg.overlay.labels import Labels, Style, style_for
from streamseg.overlay.palette import Colour, colours_of
from streamseg.overlay.shapes import draw_marks, label_marks
from streamseg.overlay.tint import Tint
from streamseg.overlay.trails import Trails, draw_trail
from streamseg.structures import Frame, Instances, Mark, Tracks

__all__ = ["Painter"]

Image = NDArray[np.uint8]

_RAGGED = 6
"""Edges that a column of pixels crosses, on average, from which on a mask is ragged. A solid one crosses 2;
lines around a ragged one cost by the segment, 7 ms for a whole 1280×720 frame of noise, edge pixels 1."""

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class Painter:
    """Draws instances on frames of any number of sources; one thread at a time.

    Colours follow the track, or the class where there is no track. Keeps buffers of one frame's size and,
    with `trail_seconds` above 0, the paths of recent tracks of each source.
    """

    def __init__(self, trail_seconds: float = 0.0) -> None:
        self._trail_seconds = trail_seconds
        self._trails: dict[str, Trails] = {}
        self._tint = Tint()

    def draw(
        self,
        frame: Frame,
        instances: Instances,
        tracks: Tracks,
        class_names: Sequence[str],
        *,
        status: str = "",
        marks: Sequence[Mark] = (),
    ) -> Image:
        """A new (H, W, 3) uint8 BGR picture: the frame with everything drawn on it.

        `status` is a line for the top left corner; `marks` are zones and lines. An instance without
        any pixel is shown by its box. Raises ValueError when the arguments do not belong to one frame.
        """
        _check(frame, instances, tracks)
        canvas: Image = frame.image.copy()
        style = style_for(frame.size_hw)
        colours = colours_of(instances, tracks)
        regions = instances.pixels.regions
        lowest_first = np.argsort(instances.score, kind="stable").tolist()

        in_order = [regions[k] for k in lowest_first], [colours[k] for k in lowest_first]
        self._tint.apply(canvas, frame.image, *in_order)
        for k in lowest_first:
            draw_outline(canvas, regions[k], instances.xyxy[k], colours[k], style)
        if self._trail_seconds > 0:
            self._draw_trails(canvas, frame, tracks, colours, style)
        draw_marks(canvas, marks, style)
        draw_labels(canvas, style, instances, tracks, class_names, colours, status, marks)
        return canvas

    def _draw_trails(
        self, canvas: Image, frame: Frame, tracks: Tracks, colours: Sequence[Colour], style: Style
    ) -> None:
        trails = self._trails.setdefault(frame.source_id, Trails(self._trail_seconds))
        paths = trails.update(frame.pts_seconds, tracks)
        for track_id, colour in zip(tracks.id.tolist(), colours, strict=True):
            if track_id in paths:
                draw_trail(canvas, paths[track_id], colour, style.line)


def _check(frame: Frame, instances: Instances, tracks: Tracks) -> None:
    if instances.masks.frame_hw != frame.size_hw:
        raise ValueError(
            f"Painter.draw: masks of a {instances.masks.frame_hw} frame on one of {frame.size_hw}"
        )
    if len(tracks) != len(instances):
        raise ValueError(f"Painter.draw: {len(tracks)} tracks for {len(instances)} instances")


def draw_outline(
    canvas: Image, region: Region, box: NDArray[np.float32], colour: Colour, style: Style
) -> None:
    """Draw the edges of `region` and of its holes; `box` (x1 y1 x2 y2) where it is empty."""
    if not region.bits.size:
        x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
        cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), colour, style.line)
        return
    if np.count_nonzero(region.bits[1:] != region.bits[:-1]) > _RAGGED * region.bits.shape[1]:
        _draw_edge_pixels(canvas, region, colour, style.line)
        return
    # Antialiased lines cost by the segment: half a line's width of tolerance, which nobody sees, takes
    # 4 of 5 of them away and the time from 0.20 to 0.04 ms per instance.
    cv2.polylines(canvas, contours(region, 0.5 * style.line), True, colour, style.line, cv2.LINE_AA)


def _draw_edge_pixels(canvas: Image, region: Region, colour: Colour, line: int) -> None:
    """Colour the outermost pixels of `region`, `line` pixels inwards."""
    (x, y), (h, w) = region.origin_xy, region.bits.shape
    bits = region.bits.view(np.uint8)
    inner = cv2.erode(bits, _CROSS, iterations=line, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    flat = np.empty((h, w, 3), np.uint8)
    cv2.rectangle(flat, (0, 0), (w, h), colour, cv2.FILLED)
    cv2.copyTo(flat, cv2.subtract(bits, inner), canvas[y : y + h, x : x + w])


def draw_labels(
    canvas: Image,
    style: Style,
    instances: Instances,
    tracks: Tracks,
    class_names: Sequence[str],
    colours: Sequence[Colour],
    status: str,
    marks: Sequence[Mark] = (),
) -> None:
    """Draw class, id and score by every instance, the highest scores placed first, `status` and `marks`."""
    labels = Labels(canvas, style)
    if status:
        labels.add_status(status)
    label_marks(labels, marks)
    columns = (instances.score, instances.class_id, tracks.id, instances.xyxy)
    rows = zip(*(column.tolist() for column in columns), colours, strict=True)
    for score, class_id, track_id, box, colour in sorted(rows, key=lambda row: -row[0]):
        number = f" #{track_id}" if track_id >= 1 else ""
        labels.add(class_names[class_id], f"{number} {score:.2f}", box, colour)
    labels.draw()
