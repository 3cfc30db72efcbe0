"""Results → overlay → sinks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from streamseg.metrics import Counter, LatencyQuantiles, Rate
from streamseg.overlay.painter import Painter
from streamseg.sinks.base import Sink, close_all
from streamseg.structures import STAGES, Result

__all__ = ["PassOn", "Render"]


class Render:
    """Results → overlay → every sink of the frame's source; measures the age after each stage."""

    def __init__(self, sinks: Mapping[str, Sequence[Sink]], painter: Painter, *, status_line: bool) -> None:
        self._sinks = sinks
        self._painter = painter
        self._status_line = status_line
        self.rates: dict[str, Rate] = {source_id: Rate() for source_id in sinks}
        self.ages: dict[str, LatencyQuantiles] = {stage: LatencyQuantiles() for stage in STAGES}
        self.delivered: dict[str, Counter] = {source_id: Counter() for source_id in sinks}
        self.instances = Counter()

    def process(self, items: list[Result]) -> None:
        for result in items:
            self.render(result)

    def render(self, result: Result) -> Result:
        """Draw and write one result; the same with canvas, if any sink needed one, and stamps."""
        sinks = self._sinks[result.frame.source_id]
        self.rates[result.frame.source_id].tick()
        drawn = self._drawn(result) if any(sink.needs_canvas for sink in sinks) else result
        drawn = replace(drawn, stamps=replace(drawn.stamps, overlay=time.monotonic_ns()))
        for sink in sinks:
            sink.write(drawn)
        drawn = replace(drawn, stamps=replace(drawn.stamps, sink=time.monotonic_ns()))
        self.delivered[result.frame.source_id].add()
        self.instances.add(len(drawn.instances))
        for stage, ages in self.ages.items():
            ages.add(drawn.age_ms(stage) / 1e3)
        return drawn

    def _drawn(self, result: Result) -> Result:
        fps = self.rates[result.frame.source_id].recent_per_second()
        status = f"{fps:.1f} fps  age {result.age_ms('track'):.0f} ms" if self._status_line else ""
        canvas = self._painter.draw(
            result.frame, result.instances, result.tracks, result.class_names, status=status
        )
        return replace(result, canvas=canvas)

    def close(self) -> None:
        close_all(dict.fromkeys(sink for sinks in self._sinks.values() for sink in sinks))


class PassOn:
    """Render as a stage whose results go on to the caller's own loop."""

    def __init__(self, render: Render) -> None:
        self._render = render

    def process(self, items: list[Result]) -> Iterable[Result]:
        return [self._render.render(result) for result in items]

    def drain(self) -> Iterable[Result]:
        return ()

    def close(self) -> None:
        self._render.close()
