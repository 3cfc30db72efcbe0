"""Results of one source → the same with the picture that people see.

Tested in tests/streaming/test_follow.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamseg.overlay.effects import Effects
from streamseg.overlay.painter import Painter
from streamseg.streaming.config import OverlayConfig
from streamseg.streaming.meter import SourceMeter
from streamseg.structures import Result

__all__ = ["Render", "painter_of"]


class Render:
    """The overlay of one source."""

    def __init__(self, painter: Painter | Effects | None, meter: SourceMeter, *, status_line: bool) -> None:
        """`painter` None: no sink needs a picture, results only pass."""
        self._painter = painter
        self._meter = meter
        self._status_line = status_line

    def process(self, items: list[Result]) -> Iterator[Result]:
        for result in items:
            self._meter.rate.tick()
            drawn = replace(result, canvas=self._canvas(result, self._painter)) if self._painter else result
            drawn = replace(drawn, stamps=replace(drawn.stamps, overlay=time.monotonic_ns()))
            self._meter.rendered(drawn)
            yield drawn

    def _canvas(self, result: Result, painter: Painter | Effects) -> NDArray[np.uint8]:
        fps = self._meter.rate.recent_per_second()
        status = f"{fps:.1f} fps  age {result.age_ms('track'):.0f} ms" if self._status_line else ""
        return painter.draw(
            result.frame,
            result.instances,
            result.tracks,
            result.class_names,
            status=status,
            marks=result.marks,
        )

    def drain(self) -> Iterable[Result]:
        return ()

    def close(self) -> None: ...


def painter_of(asked: OverlayConfig) -> Painter | Effects:
    """What draws for one source."""
    return Effects(asked.effect_specs) if asked.effects else Painter(asked.trail_seconds)
