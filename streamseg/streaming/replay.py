"""A recorded run, seen again without its engine: results with rules, and pictures drawn on the clip.

    clip + record ── render ── sink

Tested in tests/jobs/test_render.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from streamseg.addresses import shown
from streamseg.capture.source import Source
from streamseg.errors import ConfigError
from streamseg.events import EventsConfig, Watch
from streamseg.events.marks import marks_of
from streamseg.pipeline.pipeline import Pipeline
from streamseg.pipeline.signals import stop_on_signals
from streamseg.records.header import Take
from streamseg.records.store import RunRecord
from streamseg.sinks.base import Sink
from streamseg.streaming.config import OverlayConfig
from streamseg.streaming.deliver import DRAIN_SECONDS, Deliver
from streamseg.streaming.meter import SinkMeter, SourceMeter
from streamseg.streaming.render import Render, painter_of
from streamseg.structures import Frame, Result, Stamps

__all__ = ["Replay", "recorded_results", "run_replay"]

_DEPTH = 4


class Replay:
    """The results of one take on the pictures of its clip, as a source of a pipeline. Frames that the record
    has not are left out, as they were live."""

    def __init__(self, recording: RunRecord, take: Take, clip: Source, rules: EventsConfig | None) -> None:
        self._recording, self._take, self._clip = recording, take, clip
        self._rules = ReplayedRules(rules, take) if rules else None
        self.frames = 0
        """Handed over so far."""
        self.media_seconds = 0.0
        """From the first frame to the last."""

    def __iter__(self) -> Iterator[Result]:
        """Raises ConfigError where the clip shows frames of another size."""
        frames = iter(self._clip)
        names = self._take.header.classes
        begin: float | None = None
        for block in self._recording.blocks(self._take):
            for k, index in enumerate(block.index.tolist()):
                frame = next((frame for frame in frames if frame.index >= index), None)
                if frame is None:
                    return
                if frame.index > index or frame.size_hw != tuple(block.size_hw[k].tolist()):
                    raise ConfigError(f"{shown(self._take.spec)}: its frames are not those of the record")
                result = block.result(k, frame, names)
                self.frames += 1
                begin = frame.pts_seconds if begin is None else begin
                self.media_seconds = frame.pts_seconds - begin
                now = frame.captured_ns
                result = replace(result, stamps=Stamps(segment=now, track=now))
                yield self._rules.marked(result) if self._rules else result

    def interrupt(self) -> None:
        self._clip.interrupt()

    def close(self) -> None:
        self._clip.close()


class ReplayedRules:
    """The rules of one take at work."""

    def __init__(self, config: EventsConfig, take: Take) -> None:
        self._config, self._take = config, take
        self._watch: Watch | None = None

    def of(self, result: Result) -> Result:
        """With events."""
        frame = result.frame
        if self._watch is None:
            # As in the run itself (streaming/follow.py), so that ids of events are the same.
            life = "" if frame.utc_ns is None else str(frame.utc_ns)
            self._watch = Watch(self._config, self._take.source_id, self._take.header.classes, life)
        return replace(result, events=self._watch.update(frame, result.instances, result.tracks))

    def marked(self, result: Result) -> Result:
        """With events and marks."""
        made = self.of(result)
        assert self._watch
        marks = marks_of(self._watch.config, self._watch.state, result.frame.size_hw)
        return replace(made, marks=marks)


def recorded_results(recording: RunRecord, take: Take, rules: EventsConfig | None = None) -> Iterator[Result]:
    """Every frame of one take, in order, on a black picture; with `rules`, the events that they tell."""
    at_work = ReplayedRules(rules, take) if rules else None
    for block in recording.blocks(take):
        for k, size_hw in enumerate(block.size_hw.tolist()):
            frame: Frame = block.frame(k, take.source_id, _black(*size_hw))
            result = block.result(k, frame, take.header.classes)
            yield at_work.of(result) if at_work else result


@lru_cache(maxsize=4)
def _black(height: int, width: int) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


def run_replay(replay: Replay, source_id: str, overlay: OverlayConfig, sinks: Sequence[Sink]) -> int:
    """Draw every result and hand it to `sinks`, each part in a thread of its own; 0, or 129 / 130 / 143 when
    a signal ended it early. Raises what a part raised."""
    pipeline = Pipeline()
    results = pipeline.add_source(source_id, lambda: replay, capacity=_DEPTH, policy="block")
    drawn = pipeline.add_stage(
        "render",
        lambda: Render(painter_of(overlay), SourceMeter(), status_line=False),
        [results],
        capacity=_DEPTH,
        policy="block",
    )
    for number, sink in enumerate(sinks):
        meters = {source_id: SinkMeter()}
        pipeline.add_sink(f"sink {number}", partial(Deliver, sink, meters), [drawn])
    with stop_on_signals(pipeline, DRAIN_SECONDS) as caught:
        pipeline.run()
    return caught.exit_code or 0
