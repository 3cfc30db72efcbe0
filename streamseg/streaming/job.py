"""One configured run: sources, engine, tracker, overlay and sinks as a pipeline.

    capture ─┐                        ┌─ render ─┬─ sink
    capture ─┼─ segment ─── track ────┼─ render ─┼─ sink
    capture ─┘   (shared by all)      └─ render ─┴─ sink

Every box has a thread of its own. Sources, and what belongs to one of them alone, come and go while it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from streamseg.capture.open import SourceOptions, is_live, open_source
from streamseg.capture.source import Source
from streamseg.engine_contract import Engine, EngineInfo
from streamseg.errors import ConfigError, SourceError, did_you_mean
from streamseg.overlay.painter import Painter
from streamseg.pipeline.channel import Policy
from streamseg.pipeline.output import Output, Tap
from streamseg.pipeline.pipeline import Pipeline
from streamseg.pipeline.signals import stop_on_signals
from streamseg.pipeline.worker import OnError
from streamseg.segmenter import Segmenter
from streamseg.sinks.base import MissesNothing, Sink, close_all
from streamseg.source_state import SourceState
from streamseg.streaming.config import RunConfig
from streamseg.streaming.contract import LatencyContract
from streamseg.streaming.deliver import DRAIN_SECONDS, Deliver
from streamseg.streaming.follow import Follow
from streamseg.streaming.limited import Limited
from streamseg.streaming.meter import SinkMeter, SourceMeter
from streamseg.streaming.render import Render
from streamseg.streaming.segment import Segment
from streamseg.structures import Frame, Result, Segmented
from streamseg.tracking.config import TrackerConfig
from streamseg.tracking.tracker import Tracker

__all__ = ["Job", "Stream", "class_ids"]

LIVE_DEPTH = 1  # behind the mailbox of a live source a queue would only add age
# Where results are moved past the engine, two come at once: what was moved right behind what was found.
COASTED_DEPTH = 2
LIVE_SINK_DEPTH = 4  # frames that a sink may fall behind for a moment without losing one
FILE_DEPTH = 2
SURE_DEPTH = 8  # of a sink that must miss nothing; when it is full, its source waits


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """What belongs to one source of a job."""

    spec: str
    sinks: tuple[Sink, ...]
    meter: SourceMeter
    sink_meters: Mapping[str, SinkMeter]
    """By the name of the sink's part in the pipeline."""


class Job:
    """One configured run: sources, engine, sinks and the pipeline between them. Use it once."""

    def __init__(
        self,
        config: RunConfig,
        sinks: Mapping[str, Sequence[Sink]],
        info: EngineInfo,
        open_engine: Callable[[], Engine],
        *,
        batch: int = 1,
    ) -> None:
        """`sinks` by source id, in the order of `config.sources`; the engine's thread calls `open_engine`.
        `batch`: how many waiting frames, of one source or several, the engine gains by taking at once."""
        self.config = config
        self.info = info
        self.streams: dict[str, Stream] = {}
        self.sources: dict[str, Source] = {}
        self.runtime = "loading"
        self.refused: Mapping[str, int] = {}
        self.pipeline = Pipeline()
        self.seconds = 0.0
        self._began_ns = time.monotonic_ns()
        self._open_engine = open_engine
        self._class_ids = class_ids(config.classes, info.classes)
        self._batch = batch
        self._limits: dict[str, Limited] = {}
        self._parts: dict[Sink, str] = {}
        self._unopened: set[Sink] = set()
        self._sink_meters: dict[str, dict[str, SinkMeter]] = {}
        self._live = any(self._drops(spec) for spec in config.sources)
        self._several = len(config.sources) > 1
        # Of one camera that is off the user is told at once; of many, one must not be lost for ever.
        self._waits = sum(map(is_live, config.sources)) > 1
        self._rendered: dict[str, Output[Result]] = {}
        _check_names(config.capture.per_source, sinks)
        self._connect(dict(zip(sinks, config.sources, strict=True)), sinks, batch)

    # -- what runs ---------------------------------------------------------------------------------

    def run(self, refresh_seconds: float = 0.25, on_refresh: Callable[[], None] | None = None) -> int:
        """Run to the end; 0, or 129 / 130 / 143 when SIGHUP / SIGINT / SIGTERM ended it early.

        The first failure, of a part or of `on_refresh`, is raised when every output is finished. Signals are
        handled only when called from the main thread.
        """
        began = time.monotonic()
        try:
            with stop_on_signals(self.pipeline, DRAIN_SECONDS) as caught:
                self.pipeline.run(on_refresh, refresh_seconds)
        finally:
            self.seconds = time.monotonic() - began
            self.close()
        return caught.exit_code or 0

    def results(self) -> Generator[Result, None, None]:
        """Run with the caller's loop beside the sinks; raises as `run` does.

        Leaving the loop early ends the run; its outputs hold what the loop has seen, and are finished.
        """
        began = time.monotonic()
        try:
            yield from self.pipeline.results(list(self._rendered.values()), drain_s=DRAIN_SECONDS)
        finally:
            self.seconds = time.monotonic() - began
            self.close()

    def close(self) -> None:
        """End it and finish its outputs, whether it ran or not. Idempotent. Raises SinkError."""
        self.pipeline.close()
        # The pipeline closes what its threads were given; the rest has nobody else.
        unopened, self._unopened = self._unopened, set()
        close_all(unopened)

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Each once, in the order of their sources."""
        return tuple(self._parts)

    def state_of(self, source_id: str) -> SourceState:
        """How a source is doing now; from any thread, also before the run and after it. Raises KeyError."""
        self.streams[source_id]
        source = self.sources.get(source_id)
        state = source.state if source else SourceState("connecting", since_ns=self._began_ns)
        ended_ns = self.pipeline.ended_ns(source_id) if source_id in self.pipeline else None
        if ended_ns is None:
            return state
        part = f"source {source_id!r}"
        error = next((failure.error for failure in self.pipeline.failures if failure.part == part), None)
        reason = error.reason if isinstance(error, SourceError) else None
        return SourceState("ended", reason, str(error or ""), ended_ns, state.reconnects)

    # -- what it is made of ------------------------------------------------------------------------

    def _connect(self, specs: Mapping[str, str], sinks: Mapping[str, Sequence[Sink]], batch: int) -> None:
        depth = max(LIVE_DEPTH if self._live else FILE_DEPTH, batch)
        frames = [self._add_source(source_id, spec, batch) for source_id, spec in specs.items()]
        segmented = self.pipeline.add_stage(
            "segment",
            self._open_segment,
            frames,
            batch=batch,
            capacity=depth,
            policy="block",
            source_of=_source_of_segmented,
            window_s=self.config.engine.batch_window_s,
        )
        followed = self.pipeline.add_stage(
            "track",
            self._open_follow,
            [segmented],
            batch=batch,
            capacity=depth,
            policy="block",
            source_of=_source_of_result,
        )
        for source_id, spec in specs.items():
            self._add_render(source_id, spec, sinks[source_id], followed)
        for sink, name in self._parts.items():
            self._add_sink(sink, name, followed)

    def _add_source(self, source_id: str, spec: str, batch: int) -> Output[Frame]:
        drops = self._drops(spec)
        return self.pipeline.add_source(
            source_id,
            lambda: self._open_source(source_id, spec),
            # What one source can bring to a batch is what its channel holds.
            capacity=LIVE_DEPTH if drops else max(FILE_DEPTH, batch),
            policy="drop_oldest" if drops else "block",
            # One of many cameras must not take the others with it; its error ends the run's exit code.
            on_error="isolate" if self._several else "stop",
        )

    def _add_render(self, source_id: str, spec: str, sinks: Sequence[Sink], followed: Output[Result]) -> None:
        names = [self._part_of(sink, source_id) for sink in sinks]
        promised_s = self.config.max_age_s if self._drops(spec) else None
        sink_meters = {
            name: SinkMeter(None if _misses_nothing(sink) else promised_s)
            for name, sink in zip(names, sinks, strict=True)
        }
        stream = Stream(spec, tuple(sinks), SourceMeter(), sink_meters)
        self.streams[source_id] = stream
        for name in names:
            self._sink_meters[name][source_id] = stream.sink_meters[name]
        needs_canvas = any(sink.needs_canvas for sink in sinks)
        policy = self._policy(spec)
        live_depth = LIVE_DEPTH if promised_s is None else COASTED_DEPTH
        depth = FILE_DEPTH if policy == "block" else live_depth
        self._rendered[source_id] = self.pipeline.add_stage(
            f"render {source_id}",
            lambda: Render(
                Painter(self.config.overlay.trail_seconds) if needs_canvas else None,
                stream.meter,
                status_line=self.config.overlay.status,
            ),
            [followed.of(source_id, capacity=depth, policy=policy)],
            capacity=LIVE_SINK_DEPTH if policy != "block" else FILE_DEPTH,
            policy=policy,
            on_error=self._on_error(),
        )

    def _add_sink(self, sink: Sink, name: str, followed: Output[Result]) -> None:
        meters = self._sink_meters[name]

        def opened() -> Deliver:
            self._unopened.discard(sink)
            return Deliver(sink, meters)

        outputs: list[Output[Result] | Tap[Result]] = [self._rendered[source_id] for source_id in meters]
        if _misses_nothing(sink):
            # Before the places where frames of a live source may be dropped.
            outputs = [followed.of(source_id, capacity=SURE_DEPTH, policy="block") for source_id in meters]
        self.pipeline.add_sink(name, opened, outputs, on_error=self._on_error())

    def _part_of(self, sink: Sink, source_id: str) -> str:
        """The name of the part that writes into `sink`: `video cam1`, or `jsonl` when sources share it."""
        if sink not in self._parts:
            kind = type(sink).__name__.removesuffix("Sink").lower() or "sink"
            shared = f"{kind}" if kind not in self._sink_meters else f"{kind} {len(self._parts)}"
            self._parts[sink] = f"{kind} {source_id}" if kind == "video" else shared
            self._unopened.add(sink)
            self._sink_meters[self._parts[sink]] = {}
        return self._parts[sink]

    def _on_error(self) -> OnError:
        """A live run goes on without a broken output; one over files would leave the other ones cut short."""
        return "isolate" if self._live else "abort"

    def _policy(self, spec: str) -> Policy:
        """Behind the engine: a slow sink of a live source loses frames, its others do not. So many frames
        and no more are asked for of what is to be complete."""
        return "drop_oldest" if self._drops(spec) and not self.config.max_frames else "block"

    def _drops(self, spec: str) -> bool:
        """Whether the newest frame matters more than every frame."""
        return self.config.drop == "oldest" or (self.config.drop == "auto" and is_live(spec))

    def _open_source(self, source_id: str, spec: str) -> Source | Limited:
        asked = self.config.capture.of(source_id)
        options = SourceOptions(
            open_timeout_s=asked.open_timeout_s,
            read_timeout_s=asked.read_timeout_s,
            stall_s=asked.stall_s,
            transport=asked.transport,
            self_signed=asked.self_signed,
            wait_for_source=self._waits if asked.wait_for_source is None else asked.wait_for_source,
            max_backoff_s=asked.max_backoff_s,
            size_hw=(asked.size[1], asked.size[0]) if asked.size else None,
            fps=asked.fps,
        )
        source = self.sources[source_id] = open_source(spec, source_id, options)
        if not self.config.max_frames:
            return source
        limited = Limited(source, self.config.max_frames, drops=self._drops(spec))
        self._limits[source_id] = limited
        return limited

    def _open_segment(self) -> Segment:
        engine = self._open_engine()
        self.runtime = engine.runtime
        tracker = self._tracker_config()
        least = tracker.low_score if tracker else self.config.score
        segmenter = Segmenter(
            engine,
            score=least,
            classes=self._class_ids,
            max_batch=self._batch,
            double_iou=self.config.double_iou,
        )
        self.refused = segmenter.refused
        return Segment(segmenter, overlap=not self._live, contract=self._contract())

    def _contract(self) -> LatencyContract | None:
        promised_s = self.config.max_age_s
        if promised_s is None or not self._live:
            return None
        return LatencyContract(
            promised_s, lambda i: self.streams[i].meter, self._too_late, coasts=self.config.track.enabled
        )

    def _too_late(self, source_id: str) -> int:
        """Results that the sink which lost most did not get for their age."""
        return max(meter.too_old.value for meter in self.streams[source_id].sink_meters.values())

    def _open_follow(self) -> Follow:
        return Follow(
            self.info.classes,
            self._tracker_config(),
            lambda i: self.sources[i].fps,
            self._admit,
            self._note_rejected,
            self.config.events,
        )

    def _admit(self, source_id: str) -> bool:
        return source_id not in self._limits or self._limits[source_id].admit()

    def _note_rejected(self, source_id: str, tracker: Tracker) -> None:
        counts = {"rejected_frames": tracker.rejected_frames, "rejected_boxes": tracker.rejected_boxes}
        self.streams[source_id].meter.rejected = counts

    def _tracker_config(self) -> TrackerConfig | None:
        asked = self.config.track
        if not asked.enabled:
            return None
        config = TrackerConfig.for_score_threshold(self.config.score)
        return replace(config, lost_seconds=asked.lost_seconds) if asked.lost_seconds else config


def _check_names(named: Collection[str], source_ids: Collection[str]) -> None:
    for name in named:
        if name not in source_ids:
            hint = did_you_mean(name, source_ids) or f"there are {', '.join(source_ids)}"
            raise ConfigError(f"capture.per_source: no source is called {name!r}; {hint}")


def _misses_nothing(sink: Sink) -> bool:
    return isinstance(sink, MissesNothing) and sink.misses_nothing


def _source_of_segmented(item: Segmented) -> str:
    return item.frame.source_id


def _source_of_result(item: Result) -> str:
    return item.frame.source_id


def class_ids(names: tuple[str, ...] | None, known: tuple[str, ...]) -> frozenset[int] | None:
    """The ids of the classes called `names` among `known`; None for all. Raises ConfigError."""
    if names is None:
        return None
    for name in names:
        if name not in known:
            listing = ", ".join(known) if len(known) <= 20 else f"{len(known)} classes, see streamseg engines"
            hint = did_you_mean(name, known)
            aside = f" ({hint})" if hint else ""
            raise ConfigError(f"classes: the engine has no class {name!r}{aside}; it has {listing}")
    return frozenset(known.index(name) for name in names)
