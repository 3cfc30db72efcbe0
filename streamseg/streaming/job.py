"""One configured run: sources, engine, tracker, overlay and sinks as a pipeline.

    capture ─┐                        ┌─ render ─┬─ sink
    capture ─┼─ segment ─── track ────┼─ render ─┼─ sink
    capture ─┘   (shared by all)      └─ render ─┴─ sink

Every box has a thread of its own. Sources, and what belongs to one of them alone, come and go while it runs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from streamseg.capture.open import is_live
from streamseg.engine_contract import Engine, EngineInfo
from streamseg.errors import ConfigError, UnknownSource
from streamseg.events.config import check_classes
from streamseg.pipeline.channel import Policy
from streamseg.pipeline.output import Output, Tap
from streamseg.pipeline.parts import SinkPart
from streamseg.pipeline.pipeline import Pipeline
from streamseg.pipeline.signals import stop_on_signals
from streamseg.pipeline.worker import OnError
from streamseg.segmenter import Segmenter
from streamseg.sinks.base import Sink, close_all, misses_nothing
from streamseg.source_state import SourceState
from streamseg.streaming import depths
from streamseg.streaming.choice import choice_of, tracker_config
from streamseg.streaming.config import RunConfig
from streamseg.streaming.deliver import DRAIN_SECONDS, Deliver
from streamseg.streaming.follow import Follow
from streamseg.streaming.meter import SinkMeter, SourceMeter
from streamseg.streaming.openings import Openings
from streamseg.streaming.outputs import written_paths
from streamseg.streaming.outrun import Outrun
from streamseg.streaming.recording import Recording, clip_of
from streamseg.streaming.render import Render, painter_of
from streamseg.streaming.segment import Segment
from streamseg.streaming.stream import Companion, Stream, check_names, contract_of
from streamseg.structures import Frame, Result
from streamseg.tracking.tracker import Tracker

__all__ = ["Job"]

PAGE = "page"  # the part that viewers see through; no output, so what it skips is not counted as lost
LOOP = "results"  # the part that is the caller's own loop, if there is one
LEAVING_SECONDS = 15.0  # for a source that is removed, to hand over what it captured


class Job:
    """One configured run: sources, engine, sinks and the pipeline between them. Use it once.

    While it runs, sources can be added and removed, and thresholds changed, by one thread at a time.
    """

    def __init__(
        self,
        config: RunConfig,
        sinks: Mapping[str, Sequence[Sink]],
        info: EngineInfo,
        open_engine: Callable[[], Engine],
        *,
        batch: int = 1,
        page: Callable[[], SinkPart[Result]] | None = None,
        shared: Sequence[Sink] = (),
        recording: Recording | None = None,
    ) -> None:
        """`sinks` by source id, in the order of `config.sources`; the engine's thread calls `open_engine`.
        `batch`: how many waiting frames, of one source or several, the engine gains by taking at once.
        `page`: a part for viewers. `shared`: those of `sinks` that sources added later write into too."""
        self.config = config
        self.info = info
        self.streams: dict[str, Stream] = {}
        self.runtime = "loading"
        self.refused: Mapping[str, int] = {}
        self.pipeline = Pipeline()
        self.began_ns = time.monotonic_ns()
        self.seconds = 0.0
        self.recording = recording
        self.companions: list[Companion] = [recording] if recording else []
        self.address: str | None = None  # of its live page
        self.on_events: Callable[[Result], None] = lambda _: None  # called by the tracking thread
        self.shared = tuple(shared)
        self.finished: deque[str] = deque(maxlen=1000)  # outputs of sources that were removed
        self._open_engine = open_engine
        self._choice = choice_of(config, self.info)
        self._segment: Segment | None = None
        self._follow: Follow | None = None
        self._page = page
        self._batch = batch
        self._parts: dict[Sink, str] = {}
        self._unopened: set[Sink] = set()
        self._sink_meters: dict[str, dict[str, SinkMeter]] = {}
        # What begins without a source waits for cameras.
        self._live = any(self._drops(spec) for spec in config.sources) or not config.sources
        # A live run that can be given sources goes on without any; one over files ends with them.
        self._stays_open = page is not None and self._live and not config.max_frames
        self._several = len(config.sources) > 1 or self._stays_open
        # Of one camera that is off the user is told at once; of many, one must not be lost for ever.
        waits = sum(map(is_live, config.sources)) > 1 or self._stays_open
        self._openings = Openings(recording, waits=waits)
        self.sources = self._openings.sources
        self._contract = contract_of(config, lambda i: self.streams[i]) if self._live else None
        self._outrun = Outrun.of(self._contract, lambda i: self.streams[i].meter)
        self._followed: Output[Result]
        self._rendered: dict[str, Output[Result]] = {}
        check_names(config.capture.per_source, sinks)
        self._connect(dict(zip(sinks, config.sources, strict=True)), sinks, batch)

    # -- what runs ---------------------------------------------------------------------------------

    def run(self, refresh_seconds: float = 0.25, on_refresh: Callable[[], None] | None = None) -> int:
        """Run to the end; 0, or 129 / 130 / 143 when SIGHUP / SIGINT / SIGTERM ended it early.

        The first failure, of a part or of `on_refresh`, is raised when every output is finished. Signals are
        handled only when called from the main thread.
        """
        with self._accompanied(), stop_on_signals(self.pipeline, DRAIN_SECONDS) as caught:
            self.pipeline.run(on_refresh, refresh_seconds)
        return caught.exit_code or 0

    def results(self) -> Generator[Result, None, None]:
        """Run with the caller's loop beside the sinks; raises as `run` does.

        Leaving the loop early ends the run; its outputs hold what the loop has seen, and are finished.
        """
        with self._accompanied():
            yield from self.pipeline.results(list(self._rendered.values()), drain_s=DRAIN_SECONDS)

    @contextmanager
    def _accompanied(self) -> Iterator[None]:
        with ExitStack() as ending:
            ending.callback(self.close)
            self.began_ns = time.monotonic_ns()
            for companion in self.companions:
                companion.start()
            try:
                yield
            finally:
                self.seconds = (time.monotonic_ns() - self.began_ns) / 1e9

    def close(self) -> None:
        """End it and finish its outputs, whether it ran or not. Idempotent. Raises SinkError."""
        with ExitStack() as ending:
            for companion in self.companions:
                ending.callback(companion.stop)
            self.pipeline.close()
            # The pipeline closes what its threads were given; the rest has nobody else.
            unopened, self._unopened = self._unopened, set()
            close_all(unopened)

    # -- changes while it runs ---------------------------------------------------------------------

    def add_source(self, source_id: str, spec: str, own: Sequence[Sink]) -> None:
        """Add a source; it writes into the sinks `own` and those that are shared.

        What it raises itself, later, is a failure of that source alone. Raises RuntimeError when the run is
        ending; everything is then as it was.
        """
        if self.recording:
            self.recording.check(source_id, spec)
        sinks = [*own, *self.shared]
        frames = self._add_source(source_id, spec, self._batch)
        try:
            self._add_render(source_id, spec, sinks, self._followed)
            output = self._rendered[source_id]
            for sink in sinks:
                if sink in own:
                    self._add_sink(sink, self._parts[sink])
                else:
                    self.pipeline.attach(self._parts[sink], [self._input_of(sink, source_id)])
            self._show([output])
            if LOOP in self.pipeline:
                self.pipeline.attach(LOOP, [output])
            self.pipeline.attach("segment", [frames])
            self.pipeline.attach("track", self._past_engine([spec], [frames]))
        except BaseException:
            self.remove_source(source_id)
            raise

    def remove_source(self, source_id: str) -> None:
        """What it has captured reaches its outputs, which are finished. Raises UnknownSource, and
        ConfigError when that takes longer than LEAVING_SECONDS."""
        if source_id not in self.pipeline:
            raise UnknownSource(source_id, self.streams)
        if not self.pipeline.remove(source_id, timeout=LEAVING_SECONDS):
            raise ConfigError(f"{source_id}: still handing over its last frames; try again")
        if self.recording:
            self.recording.forget(source_id)
        left = self.streams[source_id]
        self.streams = {i: stream for i, stream in self.streams.items() if i != source_id}
        own = [sink for sink in left.sinks if sink not in self.shared]
        self.finished.extend(written_paths(own))
        for sink in own:
            self._parts.pop(sink, None)
        self._openings.forget(source_id)
        self._rendered.pop(source_id, None)
        for part, meters in list(self._sink_meters.items()):
            if meters.pop(source_id, None) and not meters and part not in self.pipeline:
                del self._sink_meters[part]

    def arrange(self, order: Sequence[str]) -> None:
        """List the sources in this order."""
        self.streams = {source_id: self.streams[source_id] for source_id in order}

    def choose(self, config: RunConfig) -> None:
        """Show other instances from now on, by other rules: `score`, `double_iou`, `classes` and `events` of
        `config`. Raises ConfigError, and nothing has changed."""
        if config.events:
            check_classes(config.events, self.info.classes)
        self._choice = choice_of(config, self.info)
        self.config = config
        if self._segment:
            self._segment.use(self._choice)
        if self._follow:
            self._follow.use(tracker_config(config), config.events)

    def clip(self, source_id: str, name: str = "") -> None:
        """Keep what a source sent around this moment; see `Recording.clip`. Raises ConfigError."""
        if source_id not in self.streams:
            raise UnknownSource(source_id, self.streams)
        clip_of(self.recording, source_id, name)

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Each once, in the order of their sources."""
        return tuple(self._parts)

    @property
    def rung(self) -> int:
        """How far down the ladder it is (`Ladder.rung`); 0 where no age is promised."""
        return self._contract.ladder.rung if self._contract else 0

    def state_of(self, source_id: str) -> SourceState:
        """How a source is doing now; from any thread, also before the run and after it. Raises KeyError."""
        self.streams[source_id]
        return self._openings.state_of(source_id, self.pipeline, self.began_ns)

    # -- what it is made of ------------------------------------------------------------------------

    def _connect(self, specs: Mapping[str, str], sinks: Mapping[str, Sequence[Sink]], batch: int) -> None:
        depth = max(depths.LIVE if self._live else depths.FILE, batch)
        frames = [self._add_source(source_id, spec, batch) for source_id, spec in specs.items()]
        segmented: Output[Any] = self.pipeline.add_stage(
            "segment",
            self._open_segment,
            frames,
            batch=batch,
            capacity=depth,
            policy="block",
            source_of=lambda item: item.frame.source_id,
            stays_open=self._stays_open,
            window_s=self.config.engine.batch_window_s,
        )
        self._followed = self.pipeline.add_stage(
            "track",
            self._open_follow,
            [segmented, *self._past_engine(list(specs.values()), frames)],
            batch=batch,
            capacity=depth,
            policy="block",
            source_of=lambda item: item.frame.source_id,
            stays_open=self._stays_open,
        )
        for source_id, spec in specs.items():
            self._add_render(source_id, spec, sinks[source_id], self._followed)
        for sink in self.shared:
            self._part_of(sink, "")
        for sink, name in self._parts.items():
            self._add_sink(sink, name)
        if self._page:
            self.pipeline.add_sink(PAGE, self._page, [], on_error="isolate", stays_open=self._stays_open)
            self._show(list(self._rendered.values()))

    def _past_engine(self, specs: Sequence[str], frames: Sequence[Output[Frame]]) -> list[Tap[Any]]:
        """What the tracker gets beside the engine, of live sources for which an age is promised."""
        pairs = zip(specs, frames, strict=True) if self._outrun else ()
        return [out.tap(capacity=1, policy="drop_oldest") for spec, out in pairs if self._drops(spec)]

    def _show(self, outputs: Sequence[Output[Result]]) -> None:
        """Let the page see them: the newest result of each, holding up nobody."""
        if self._page:
            self.pipeline.attach(PAGE, [output.tap(capacity=1, policy="drop_oldest") for output in outputs])

    def _add_source(self, source_id: str, spec: str, batch: int) -> Output[Frame]:
        drops = self._drops(spec)
        return self.pipeline.add_source(
            source_id,
            lambda: self._openings.open(source_id, spec, self.config, drops=drops),
            # What one source can bring to a batch is what its channel holds.
            capacity=depths.LIVE if drops else max(depths.FILE, batch),
            policy="drop_oldest" if drops else "block",
            # One of many cameras must not take the others with it; its error ends the run's exit code.
            on_error="isolate" if self._several else "stop",
        )

    def _add_render(self, source_id: str, spec: str, sinks: Sequence[Sink], followed: Output[Result]) -> None:
        names = [self._part_of(sink, source_id) for sink in sinks]
        promised_s = self.config.max_age_s if self._drops(spec) else None
        meters = {
            name: SinkMeter(None if misses_nothing(sink) else promised_s)
            for name, sink in zip(names, sinks, strict=True)
        }
        stream = Stream(spec, tuple(sinks), SourceMeter(), meters, time.monotonic_ns())
        self.streams = {**self.streams, source_id: stream}
        for name in names:
            self._sink_meters[name][source_id] = stream.sink_meters[name]
        needs_canvas = any(sink.needs_canvas for sink in sinks)
        policy = self._policy(spec)
        live_depth = depths.LIVE if promised_s is None else depths.COASTED
        depth = depths.FILE if policy == "block" else live_depth
        self._rendered[source_id] = self.pipeline.add_stage(
            f"render {source_id}",
            lambda: Render(
                painter_of(self.config.overlay) if needs_canvas else None,
                stream.meter,
                status_line=self.config.overlay.status,
            ),
            [followed.of(source_id, capacity=depth, policy=policy)],
            capacity=depths.LIVE_SINK if policy != "block" else depths.FILE,
            policy=policy,
            on_error=self._on_error(),
        )

    def _add_sink(self, sink: Sink, name: str) -> None:
        meters = self._sink_meters[name]

        def opened() -> Deliver:
            self._unopened.discard(sink)
            return Deliver(sink, meters)

        inputs = [self._input_of(sink, source_id) for source_id in meters]
        stays = self._stays_open and sink in self.shared
        self.pipeline.add_sink(name, opened, inputs, on_error=self._on_error(), stays_open=stays)

    def _input_of(self, sink: Sink, source_id: str) -> Output[Result] | Tap[Result]:
        """What a sink reads of one source."""
        if misses_nothing(sink):
            # Before the places where frames of a live source may be dropped.
            return self._followed.of(source_id, capacity=depths.SURE, policy="block")
        return self._rendered[source_id]

    def _part_of(self, sink: Sink, source_id: str) -> str:
        """The name of the part that writes into `sink`: `video cam1`, or `jsonl` when sources share it."""
        if sink not in self._parts:
            kind = type(sink).__name__.removesuffix("Sink").lower() or "sink"
            name = f"{kind} {source_id}" if kind in ("video", "broadcast") else kind
            self._parts[sink] = name if name not in self._sink_meters else f"{name} {len(self._parts)}"
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

    def _open_segment(self) -> Segment:
        engine = self._open_engine()
        self.runtime = engine.runtime
        segmenter = Segmenter(engine, max_batch=self._batch)
        self.refused = segmenter.refused
        self._segment = Segment(segmenter, overlap=not self._live, contract=self._contract)
        self._segment.use(self._choice)
        return self._segment

    def _open_follow(self) -> Follow:
        self._follow = Follow(
            self.info.classes,
            tracker_config(self.config),
            lambda i: self.sources[i].fps,
            self._openings.admit,
            self._note_rejected,
            self.config.events,
            lambda result: self.on_events(result),
            self._outrun,
        )
        # They may have changed while this one was unknown.
        self._follow.use(tracker_config(self.config), self.config.events)
        return self._follow

    def _note_rejected(self, source_id: str, tracker: Tracker) -> None:
        if source_id in self.streams:
            self.streams[source_id].meter.note_rejected(tracker)
