"""What `streamseg zones` does: a picture of the source in a window, shapes by mouse, a configuration."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.addresses import printable, shown
from streamseg.capture.open import open_source
from streamseg.errors import ConfigError, SinkError, SourceError
from streamseg.events.sketch import Sketch
from streamseg.files import write_text
from streamseg.overlay.labels import Labels, style_for
from streamseg.overlay.shapes import draw_marks, label_marks
from streamseg.sinks.window_sink import check_for_display
from streamseg.structures import Mark

__all__ = ["TITLE", "draw_zones"]

TITLE = "streamseg zones"
HELP = "click: a point, z: make it a zone, l: a line, u: undo, s: save, q: leave"
MOST_WIDTH, MOST_HEIGHT = 1280, 720
_POLL_MS = 30
_CURE = "write the configuration by hand, docs/events.md shows how"

Image = NDArray[np.uint8]


def draw_zones(source: str, out: str) -> int:
    """Let the user draw on the first picture of `source`, and write `out`; how many shapes were saved, 0 when
    the user left.

    Raises ConfigError when `out` is there already, SinkError without a display, SourceError.
    """
    path = Path(out)
    if path.exists():
        raise ConfigError(f"{printable(out)}: is there already; choose another name with -o")
    check_for_display(_CURE)
    sketch = Sketch()
    if not _drawn(_first_picture(source), sketch):
        return 0
    write_text(path, sketch.yaml())
    return len(sketch.shapes)


def _first_picture(source: str) -> Image:
    opened = open_source(source, "zones")
    try:
        frame = next(iter(opened), None)
    finally:
        opened.close()
    if frame is None:
        raise SourceError(f"{shown(source)}: no picture in it")
    height, width = frame.size_hw
    scale = min(1.0, MOST_WIDTH / width, MOST_HEIGHT / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _drawn(image: Image, sketch: Sketch) -> bool:
    """Whether the user saved what was drawn."""
    height, width = image.shape[:2]

    def clicked(event: int, x: int, y: int, flags: int, _: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            sketch.add((x + 0.5) / width, (y + 0.5) / height)
        elif event == cv2.EVENT_RBUTTONDOWN:
            sketch.undo()

    try:
        # The other kind of window has a toolbar, and a menu on the right button.
        cv2.namedWindow(TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
        cv2.setMouseCallback(TITLE, clicked)
        while True:
            cv2.imshow(TITLE, _picture(image, sketch))
            key = cv2.waitKey(_POLL_MS) & 0xFF
            if key == ord("s") and _saves(sketch):
                return True
            if key in (ord("q"), 27) or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
                return False
            if key == ord("z"):
                sketch.finish("zones")
            elif key == ord("l"):
                sketch.finish("lines")
            elif key in (ord("u"), 8):
                sketch.undo()
    except cv2.error as error:
        raise SinkError(f"window: {error}; {_CURE}") from error
    finally:
        cv2.destroyAllWindows()


def _saves(sketch: Sketch) -> bool:
    """Whether there is something to save and nothing half drawn."""
    if sketch.points:
        sketch.complaint = "make the points a zone (z) or a line (l), or undo them (u), before you save"
    elif not sketch.shapes:
        sketch.complaint = "nothing is drawn yet"
    return not sketch.complaint


def _picture(image: Image, sketch: Sketch) -> Image:
    canvas = image.copy()
    size = np.array(image.shape[1::-1], np.float32)
    style = style_for(image.shape[:2])
    marks = [
        Mark(name, np.array(points, np.float32) * size, kind == "lines", kind[:-1], active=False)
        for kind, name, points in sketch.shapes
    ]
    draw_marks(canvas, marks, style)
    pixels = np.rint(np.array(sketch.points, np.float32).reshape(-1, 2) * size).astype(np.int32)
    cv2.polylines(canvas, [pixels], False, (0, 200, 255), style.line, cv2.LINE_AA)
    for x, y in pixels.tolist():
        cv2.circle(canvas, (x, y), 2 + style.line, (0, 200, 255), cv2.FILLED, cv2.LINE_AA)
    labels = Labels(canvas, style)
    labels.add_status(sketch.complaint or HELP)
    label_marks(labels, marks)
    labels.draw()
    return canvas
