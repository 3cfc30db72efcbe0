"""Instances → results with ids and events: one tracker and one watch per source."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from streamseg.events import EventsConfig, Watch
from streamseg.events.marks import marks_of
from streamseg.streaming.coast import Coast
from streamseg.streaming.outrun import Outrun
from streamseg.structures import Frame, Instances, Result, Segmented, Stamps, Tracks
from streamseg.tracking.config import TrackerConfig
from streamseg.tracking.tracker import Tracker

__all__ = ["Follow"]


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
        admit: Callable[[str], bool] = lambda _: True,
        note: Callable[[str, Tracker], None] = lambda _, tracker: None,
        events: EventsConfig | None = None,
        tell: Callable[[Result], None] = lambda _: None,
        outrun: Outrun | None = None,
    ) -> None:
        """`config` None: no ids. `fps_of`: the nominal rate of a source, if known, by its id. `admit`, asked
        for each frame by its source's id, says if it is still wanted; `note` is then told its tracker.
        `events` are the rules; `tell` is called with each result that has events. `outrun`: frames may come
        past the engine."""
        self._class_names = class_names
        self._config = config
        self._fps_of = fps_of
        self._admit = admit
        self._note = note
        self._trackers: dict[str, Tracker] = {}
        self._events = events
        self._tell = tell
        self._outrun = outrun
        self._watches: dict[str, tuple[EventsConfig | None, Watch]] = {}
        self._coast = Coast()

    def use(self, config: TrackerConfig | None, events: EventsConfig | None) -> None:
        """From the next frame on; tracks of what scores enough, and rules that stay as they are, go on. From
        any thread."""
        self._config = config
        self._events = events

    def process(self, items: Sequence[Segmented | Frame]) -> Iterable[Result]:
        for came in items:
            item = self._to_show(came)
            if item is None or not self._admit(item.frame.source_id):
                continue
            kept, tracks = self._followed(item)
            stamps = replace(item.stamps, track=time.monotonic_ns())
            result = Result(
                item.frame,
                kept.instances,
                tracks,
                self._class_names,
                stamps=stamps,
                stuff=kept.stuff,
                coasted=item.coasted,
            )
            watched = self._watched(result)
            if watched.events:
                self._tell(watched)
            yield watched

    def _to_show(self, came: Segmented | Frame) -> Segmented | None:
        """What goes on; from a frame that has gone on, or is older, the tracker learns and that is all."""
        if isinstance(came, Frame):
            if self._outrun is None or not self._outrun.takes(came):
                return None
            stamps = Stamps(segment=time.monotonic_ns())
            return Segmented(came, Instances.empty(came.size_hw), stamps=stamps, coasted=True)
        if self._outrun and self._outrun.is_late(came.frame):
            if not came.coasted:
                self._followed(came)
            return None
        return came

    def _watched(self, result: Result) -> Result:
        """With what the rules made of it."""
        frame, rules = result.frame, self._events
        used, watch = self._watches.get(frame.source_id, (None, None))
        if watch is None:
            if rules is None:
                return result
            # Of a camera, media time and tracks begin anew with each run, and ids of events must not.
            life = "" if frame.utc_ns is None else str(frame.utc_ns)
            used, watch = rules, Watch(rules, frame.source_id, self._class_names, life)
        ended = () if used is rules else watch.change(rules or EventsConfig(), frame)
        self._watches[frame.source_id] = rules, watch
        events = (*ended, *watch.update(frame, result.instances, result.tracks))
        return replace(result, events=events, marks=marks_of(watch.config, watch.state, frame.size_hw))

    def _followed(self, item: Segmented) -> tuple[Segmented, Tracks]:
        """`item` without what shall not be seen, and the tracks of what is left."""
        frame, instances, config = item.frame, item.instances, self._config
        if config is None:
            return item, Tracks.untracked(instances)
        tracker = self._tracker_of(frame.source_id, config)
        if item.coasted:
            return self._coast.moved(item, tracker)
        shown = self._shown(item, tracker, config)
        self._coast.remember(*shown)
        return shown

    def _shown(self, item: Segmented, tracker: Tracker, config: TrackerConfig) -> tuple[Segmented, Tracks]:
        frame, instances = item.frame, item.instances
        raised = tracker.config.high_score < config.high_score
        if tracker.config.high_score != config.high_score:
            tracker.config = replace(tracker.config, high_score=config.high_score, low_score=config.low_score)
        tracks = tracker.update(instances, frame.pts_seconds)
        self._note(frame.source_id, tracker)
        item = replace(item, instances=(instances := tracker.voted(instances, tracks)))
        strong = instances.score >= config.high_score
        if raised:  # what would not begin a track any more must not live on by an older one
            tracker.end(tracks.id[~strong])
        keep = strong if raised else strong | (tracks.id >= 0)
        if keep.all():
            return item, tracks
        kept = np.flatnonzero(keep)
        stuff = item.stuff and item.stuff.select(kept, len(instances))
        return replace(item, instances=instances.select(kept), stuff=stuff), tracks.select(kept)

    def _tracker_of(self, source_id: str, config: TrackerConfig) -> Tracker:
        tracker = self._trackers.get(source_id)
        if tracker is None:
            tracker = self._trackers[source_id] = self._new_tracker(config, source_id)
        return tracker

    def _new_tracker(self, config: TrackerConfig, source_id: str) -> Tracker:
        # Known, the rate is worth 2.4 HOTA where frames are dropped steadily (docs/tracking.md).
        fps = self._fps_of(source_id)
        return Tracker(replace(config, nominal_step_seconds=1 / fps) if fps else config)

    def drain(self) -> Iterable[Result]:
        return ()

    def forget(self, source: str) -> None:
        """Free what was kept of a source that has ended."""
        self._trackers.pop(source, None)
        self._watches.pop(source, None)
        self._coast.forget(source)
        if self._outrun:
            self._outrun.forget(source)

    def close(self) -> None:
        self._trackers.clear()
        self._watches.clear()
