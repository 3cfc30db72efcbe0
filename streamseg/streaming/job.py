"""One configured run: sources, engine, tracker, overlay and sinks as a pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from streamseg.capture.open import SourceOptions, is_live, open_source
from streamseg.capture.source import Source
from streamseg.engine_contract import Engine, EngineInfo
from streamseg.errors import ConfigError, did_you_mean
from streamseg.overlay.painter import Painter
from streamseg.pipeline.output import Output
from streamseg.pipeline.pipeline import Pipeline
from streamseg.pipeline.signals import stop_on_signals
from streamseg.segmenter import Segmenter
from streamseg.sinks.base import Sink
from streamseg.streaming.config import RunConfig
from streamseg.streaming.follow import Follow
from streamseg.streaming.render import PassOn, Render
from streamseg.streaming.segment import Limited, Segment
from streamseg.structures import Frame, Result
from streamseg.tracking.config import TrackerConfig

__all__ = ["Job", "class_ids"]

DRAIN_SECONDS = 10.0
LIVE_DEPTH = 1  # behind the mailbox of a live source a queue would only add age
FILE_DEPTH = 2


class Job:
    """One configured run: sources, engine, sinks and the pipeline between them. Use it once."""

    def __init__(
        self,
        config: RunConfig,
        sinks: Mapping[str, Sequence[Sink]],
        info: EngineInfo,
        open_engine: Callable[[], Engine],
    ) -> None:
        """`sinks` by source id, in the order of `config.sources`; the engine's thread calls `open_engine`."""
        self.config = config
        self.info = info
        self.specs = dict(zip(sinks, config.sources, strict=True))
        self.sinks = sinks
        self.sources: dict[str, Source] = {}
        self.runtime = "loading"
        self.pipeline = Pipeline()
        self.render = Render(sinks, Painter(config.overlay.trail_seconds), status_line=config.overlay.status)
        self.seconds = 0.0
        self._open_engine = open_engine
        self._class_ids = class_ids(config.classes, info.classes)
        self._live = any(self._drops(spec) for spec in config.sources)
        # Of one camera that is off the user is told at once; of many, one must not be lost for ever.
        self._waits = sum(map(is_live, config.sources)) > 1
        self._depth = LIVE_DEPTH if self._live else FILE_DEPTH
        self._results = self._connect()

    # -- what runs ---------------------------------------------------------------------------------

    def run(self, refresh_seconds: float = 0.25, on_refresh: Callable[[], None] | None = None) -> int:
        """Run to the end; 0, or 130 / 143 when SIGINT / SIGTERM ended it early.

        The first failure is raised when every output is finished. Signals are handled only when called
        from the main thread.
        """
        began = time.monotonic()
        with stop_on_signals(self.pipeline, DRAIN_SECONDS) as caught:
            self.pipeline.add_sink("render", lambda: self.render, [self._results])
            self.pipeline.start()
            try:
                while not self.pipeline.wait(refresh_seconds):
                    self._heed_window()
                    if on_refresh:
                        on_refresh()
            finally:
                self.seconds = time.monotonic() - began
        return caught.exit_code or 0

    def results(self) -> Iterator[Result]:
        """Run with the caller's loop at the end, after every sink; raises as `run` does.

        Leaving the loop early ends the run; its outputs are finished.
        """
        rendered = self.pipeline.add_stage(
            "render", lambda: PassOn(self.render), [self._results], capacity=self._depth, policy="block"
        )
        return self.pipeline.results([rendered])

    def _heed_window(self) -> None:
        if any(getattr(sink, "stop_requested", False) for sinks in self.sinks.values() for sink in sinks):
            self.pipeline.stop(DRAIN_SECONDS)

    # -- what it is made of ------------------------------------------------------------------------

    def _connect(self) -> Output[Result]:
        frames = [self._add_source(source_id, spec) for source_id, spec in self.specs.items()]
        segmented = self.pipeline.add_stage(
            "segment", self._open_segment, frames, batch=len(frames), capacity=self._depth, policy="block"
        )
        return self.pipeline.add_stage(
            "track", self._open_follow, [segmented], capacity=self._depth, policy="block"
        )

    def _add_source(self, source_id: str, spec: str) -> Output[Frame]:
        drops = self._drops(spec)
        return self.pipeline.add_source(
            source_id,
            lambda: self._open_source(source_id, spec),
            capacity=LIVE_DEPTH if drops else FILE_DEPTH,
            policy="drop_oldest" if drops else "block",
            # One of many cameras must not take the others with it; its error ends the run's exit code.
            on_error="isolate" if len(self.specs) > 1 else "stop",
        )

    def _drops(self, spec: str) -> bool:
        """Whether the newest frame matters more than every frame."""
        return self.config.drop == "oldest" or (self.config.drop == "auto" and is_live(spec))

    def _open_source(self, source_id: str, spec: str) -> Source | Limited:
        asked = self.config.capture
        options = SourceOptions(
            open_timeout_s=asked.open_timeout_s,
            read_timeout_s=asked.read_timeout_s,
            transport=asked.transport,
            wait_for_source=self._waits if asked.wait_for_source is None else asked.wait_for_source,
            max_backoff_s=asked.max_backoff_s,
            size_hw=(asked.size[1], asked.size[0]) if asked.size else None,
            fps=asked.fps,
        )
        source = self.sources[source_id] = open_source(spec, source_id, options)
        return Limited(source, self.config.max_frames) if self.config.max_frames else source

    def _open_segment(self) -> Segment:
        engine = self._open_engine()
        self.runtime = engine.runtime
        tracker = self._tracker_config()
        least = tracker.low_score if tracker else self.config.score
        segmenter = Segmenter(engine, score=least, classes=self._class_ids)
        return Segment(segmenter, overlap=not self._live)

    def _open_follow(self) -> Follow:
        return Follow(self.info.classes, self._tracker_config(), lambda i: self.sources[i].fps)

    def _tracker_config(self) -> TrackerConfig | None:
        asked = self.config.track
        if not asked.enabled:
            return None
        config = TrackerConfig.for_score_threshold(self.config.score)
        return replace(config, lost_seconds=asked.lost_seconds) if asked.lost_seconds else config


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
