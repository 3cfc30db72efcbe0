"""What `streamseg run` does: configuration → a job that is ready to run.

Tested in tests/streaming/test_job.py.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from streamseg.addresses import source_ids
from streamseg.capture.open import is_live
from streamseg.engine_contract import Engine
from streamseg.engines.certified import check_certificate, refuse_failed
from streamseg.engines.engine_file import EngineFile, open_engine_file
from streamseg.engines.load import load_engine
from streamseg.errors import ConfigError, EngineError, MissingDependency
from streamseg.events.config import check_classes, check_sources
from streamseg.jobs.obtain import engine_path
from streamseg.jobs.rebuild import rebuild_if_stale
from streamseg.overlay.effect_spec import refuse_unknown_classes
from streamseg.overlay.effects import check_value
from streamseg.progress import LogWatcher, Watcher
from streamseg.sinks.base import Sink, close_all
from streamseg.streaming.choice import class_ids
from streamseg.streaming.config import EngineConfig, RunConfig, ServeConfig
from streamseg.streaming.config_file import ConfigFile
from streamseg.streaming.job import Job
from streamseg.streaming.outputs import check_outputs, open_shared, open_sinks
from streamseg.streaming.recording import Recording
from streamseg.streaming.records import describe_records

if TYPE_CHECKING:
    from streamseg.streaming.live import LivePage

__all__ = ["build"]

_log = logging.getLogger(__name__)


def build(
    config: RunConfig,
    extra_sinks: Sequence[Sink] = (),
    watcher: Watcher | None = None,
    file: ConfigFile | None = None,
) -> Job:
    """Check everything that can be checked before a frame is read, and connect it.

    `extra_sinks`: further sinks, for every source. `watcher` is told when published weights are fetched and
    exported first. `file`: where `config` is from; while a live page is served, it is followed when it is
    edited and written when sources or thresholds are changed there. Raises ConfigError, SinkError,
    EngineError, CheckpointError, MissingDependency.
    """
    if not config.sources and not config.serve.address:
        raise ConfigError("no source: name a file, an address, a webcam (0) or synthetic")
    for spec in config.overlay.effect_specs:
        if spec.kind == "replace":
            check_value(spec)
    if config.events:
        check_sources(config.events, source_ids(config.sources))
    with ExitStack() as undo:
        page = _page(config.serve)
        if page:
            undo.callback(page.close)
        # Before the engine: fetching and exporting one takes minutes, and a mistyped path must not wait.
        check_outputs(config.output, source_ids(config.sources), [*config.sources, config.engine.path])
        alpha, count = config.overlay.has_alpha, len(config.sources) + bool(page)
        recording = _recording(config)
        ordering = recording.sinks if recording else []
        live = any(map(is_live, config.sources)) or not config.sources
        shared = [*open_shared(config.output, count, has_alpha=alpha, live=live), *ordering, *extra_sinks]
        undo.callback(close_all, shared)
        inputs = [config.engine.path]
        sinks = open_sinks(config.output, config.sources, inputs, shared, has_alpha=alpha)
        undo.callback(lambda: close_all(sink for of_source in sinks.values() for sink in of_source))
        engine_file = _engine_file(config, watcher)
        job = Job(
            config,
            sinks,
            engine_file.info,
            lambda: _opened(engine_file, config.engine),
            batch=engine_file.batch,
            page=page.part if page else None,
            shared=shared,
            recording=recording,
        )
        describe_records(shared, job, engine_file)
        undo.pop_all()
    if page:
        page.serve(job, file or ConfigFile(None, {}))
    return job


def _page(config: ServeConfig) -> LivePage | None:
    """The live page, where one is asked for; its packages are an extra."""
    if config.address is None:
        return None
    try:
        from streamseg.streaming.live import LivePage
    except ModuleNotFoundError as error:
        raise MissingDependency.of(error.name or "a package", "serve", "the live page") from error
    return LivePage(config)


def _recording(config: RunConfig) -> Recording | None:
    """What is recorded as the cameras encoded it, where that is asked for."""
    if not config.copies_packets:
        return None
    recording = Recording(config)
    for source_id, spec in zip(source_ids(config.sources), config.sources, strict=True):
        recording.check(source_id, spec)
    return recording


def _opened(file: EngineFile, asked: EngineConfig) -> Engine:
    """The engine, with a warning where no certificate speaks of the way it runs. Raises EngineError, also
    for a certificate that failed."""
    engine = load_engine(file, asked.runtime, asked.precision, asked.threads)
    try:
        notice = check_certificate(
            file,
            runtime=engine.runtime_name,
            precision=engine.precision,
            allow_failed=asked.allow_failed_certificate,
        )
    except EngineError:
        engine.close()
        raise
    if notice:
        _log.warning("%s", notice)
    return engine


def _engine_file(config: RunConfig, watcher: Watcher | None) -> EngineFile:
    """The engine file to run, fetched or rebuilt where asked, and read once for all."""
    asked = config.engine
    path = engine_path(asked.path, asked.cache, watcher)
    if asked.rebuild:
        rebuild_if_stale(path, watcher or LogWatcher(), asked.cache)
    file = open_engine_file(path)
    refuse_failed(
        file,
        runtime=asked.runtime,
        precision=asked.precision,
        allow_failed=asked.allow_failed_certificate,
    )
    class_ids(config.classes, file.info.classes)
    refuse_unknown_classes(config.overlay.effect_specs, file.info.classes)
    if config.events:
        check_classes(config.events, file.info.classes)
    return file
