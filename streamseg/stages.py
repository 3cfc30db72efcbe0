"""The concrete stages of the main job, each a plain object that needs no thread to be tested.

    capture → Segment → Follow → Render (overlay + sinks)

Items: Frame → Segmented → Result → nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from streamseg.capture.source import Source
from streamseg.metrics import Counter, LatencyQuantiles, Rate
from streamseg.overlay.painter import Painter
from streamseg.segmenter import Segmenter
from streamseg.sinks.base import Sink, close_all
from streamseg.structures import STAGES, Frame, Result, Segmented, Tracks
from streamseg.tracking.config import TrackerConfig
from streamseg.tracking.tracker import Tracker

__all__ = ["Follow", "Limited", "PassOn", "Render", "Segment"]


class Limited:
    """A source that ends after `max_frames` frames."""

    def __init__(self, source: Source, max_frames: int) -> None:
        self._source = source
        self._max_frames = max_frames

    def __iter__(self) -> Iterator[Frame]:
        for count, frame in enumerate(self._source, start=1):
            yield frame
            if count >= self._max_frames:
                return

    def interrupt(self) -> None:
        self._source.interrupt()

    def close(self) -> None:
        self._source.close()


class Segment:
    """Frames → instances, by one engine for all sources.

    With `overlap` the engine works on the last batch while the next frames come in; without, every frame
    leaves in the call it came with.
    """

    def __init__(self, segmenter: Segmenter, *, overlap: bool = True) -> None:
        self._segmenter = segmenter
        self._overlap = overlap

    def process(self, items: list[Frame]) -> Iterable[Segmented]:
        work = self._segmenter.process if self._overlap else self._segmenter.segment
        return self._stamped(work(items))

    def idle(self) -> Iterable[Segmented]:
        """What the engine still works on, waited for; to be called when no frame is waiting."""
        return self._stamped(self._segmenter.idle())

    def drain(self) -> Iterable[Segmented]:
        return self._stamped(self._segmenter.drain())

    def close(self) -> None:
        self._segmenter.close()

    @staticmethod
    def _stamped(segmented: Iterable[Segmented]) -> Iterator[Segmented]:
        now = time.monotonic_ns()
        for item in segmented:
            yield replace(item, stamps=replace(item.stamps, segment=now))


class Follow:
    """Instances → results with ids, one tracker per source, in order.

    Instances below the tracker's `high_score` stay only where they prolong a track (the second stage of
    ByteTrack, Zhang et al. 2022); without a tracker the engine's stage has already removed them.
    """

    def __init__(
        self,
        class_names: tuple[str, ...],
        config: TrackerConfig | None,
        fps_of: Callable[[str], float | None] = lambda _: None,
    ) -> None:
        """`config` None: no ids. `fps_of`: the nominal rate of a source, if known, by its id."""
        self._class_names = class_names
        self._config = config
        self._fps_of = fps_of
        self._trackers: dict[str, Tracker] = {}

    def process(self, items: list[Segmented]) -> Iterable[Result]:
        for item in items:
            item, tracks = self._followed(item)
            stamps = replace(item.stamps, track=time.monotonic_ns())
            yield Result(
                item.frame, item.instances, tracks, self._class_names, stamps=stamps, stuff=item.stuff
            )

    def _followed(self, item: Segmented) -> tuple[Segmented, Tracks]:
        """`item` without what shall not be seen, and the tracks of what is left."""
        frame, instances = item.frame, item.instances
        if self._config is None:
            return item, Tracks.untracked(instances)
        if frame.source_id not in self._trackers:
            self._trackers[frame.source_id] = self._new_tracker(self._config, frame.source_id)
        tracks = self._trackers[frame.source_id].update(instances, frame.pts_seconds)
        keep = (instances.score >= self._config.high_score) | (tracks.id >= 0)
        if keep.all():
            return item, tracks
        kept = np.flatnonzero(keep)
        stuff = item.stuff and item.stuff.select(kept, len(instances))
        return replace(item, instances=instances.select(kept), stuff=stuff), tracks.select(kept)

    def _new_tracker(self, config: TrackerConfig, source_id: str) -> Tracker:
        # Known, the rate is worth 2.4 HOTA where frames are dropped steadily (docs/tracking.md).
        fps = self._fps_of(source_id)
        return Tracker(replace(config, nominal_step_seconds=1 / fps) if fps else config)

    def drain(self) -> Iterable[Result]:
        return ()

    def close(self) -> None:
        self._trackers.clear()


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
        """Draw and write one result; gives the result with its canvas, if any sink needed one."""
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
