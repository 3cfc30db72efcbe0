"""Changes to a run that goes on, one after the other: from the API and from its edited file.

Tested in tests/serving/test_config_file.py.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, TypeVar

from streamseg.addresses import source_id_beside, source_ids
from streamseg.capture.open import is_live, open_source
from streamseg.errors import ConfigError, StreamsegError, UnknownRule, UnknownSource
from streamseg.events.config import RULE_KINDS, check_sources
from streamseg.pipeline.side_thread import SideThread
from streamseg.serving.admission import admitted, with_kept_secret
from streamseg.serving.contract import KeptInstances, NewRule, Rules, RunStatus
from streamseg.settings import Section, checked
from streamseg.streaming.config import RunConfig
from streamseg.streaming.config_file import ConfigFile
from streamseg.streaming.job import Job
from streamseg.streaming.outputs import check_outputs, own_sinks
from streamseg.streaming.status import status_of

__all__ = ["Control"]

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
"""How often to look whether the file was edited."""
_CHANGEABLE = ("sources", "score", "double_iou", "classes", "events")

ValueT = TypeVar("ValueT")


class Control:
    """Has a thread of its own. A change is made whole, in the run and in its file, or not at all."""

    def __init__(self, job: Job, file: ConfigFile) -> None:
        self._job = job
        self._file = file
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._notice: str | None = None
        self._thread = SideThread("control", self._obey, lambda: self._orders.put(None))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()

    # -- asked by the server -----------------------------------------------------------------------

    def status(self) -> RunStatus:
        return status_of(self._job, self._notice)

    def add_source(self, spec: str) -> Future[str]:
        return self._ordered(lambda: self._add(self._admitted(spec)))

    def change_source(self, source_id: str, spec: str) -> Future[None]:
        return self._ordered(lambda: self._change(source_id, spec))

    def remove_source(self, source_id: str) -> Future[None]:
        return self._ordered(lambda: self._remove(source_id))

    def clip(self, source_id: str) -> Future[None]:
        return self._ordered(lambda: self._job.clip(source_id))

    def set_thresholds(self, thresholds: KeptInstances) -> Future[None]:
        return self._ordered(lambda: self._choose(thresholds))

    def rules(self) -> Rules:
        events = self._job.config.events
        return Rules(_plain(events) if events else {})

    def set_rule(self, kind: str, name: str, rule: NewRule) -> Future[None]:
        return self._ordered(lambda: self._rule(kind, name, rule.root))

    def remove_rule(self, kind: str, name: str) -> Future[None]:
        return self._ordered(lambda: self._rule(kind, name, None))

    def _ordered(self, work: Callable[[], ValueT]) -> Future[ValueT]:
        future: Future[ValueT] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except RuntimeError as error:  # the pipeline takes nothing more
                future.set_exception(ConfigError(f"the run is ending ({error})"))
            except Exception as error:
                future.set_exception(error)

        self._orders.put(run)
        return future

    # -- the thread --------------------------------------------------------------------------------

    def _obey(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                self._look()
                continue
            if order is None:
                return
            order()

    def _look(self) -> None:
        if not self._file.edited():
            return
        try:
            self._follow(self._file.load())
            self._notice = None
        except (StreamsegError, RuntimeError) as error:
            self._notice = f"the edited configuration is not used: {error}"
            _log.warning("%s", self._notice)

    # -- changes -----------------------------------------------------------------------------------

    def _admitted(self, spec: str) -> str:
        return admitted(spec, self._job.config.serve.folders)

    def _specs(self) -> list[str]:
        return list(self._spec_by_id().values())

    def _spec_by_id(self) -> dict[str, str]:
        return {source_id: stream.spec for source_id, stream in self._job.streams.items()}

    def _add(self, spec: str) -> str:
        with ExitStack() as undo:
            source_id = self._added(spec, undo)
            self._save_sources()
            undo.pop_all()
        return source_id

    def _change(self, source_id: str, spec: str) -> None:
        old = self._spec_of(source_id)
        wanted = with_kept_secret(spec.strip(), old)
        if wanted == old:
            return
        wanted = self._admitted(wanted)
        self._check_rules({**self._spec_by_id(), source_id: wanted})
        with ExitStack() as undo:
            order = list(self._job.streams)
            self._removed(source_id, undo)
            self._added(wanted, undo, source_id)
            self._job.arrange(order)
            self._save_sources()
            undo.pop_all()

    def _remove(self, source_id: str) -> None:
        self._spec_of(source_id)
        self._check_rules({i: spec for i, spec in self._spec_by_id().items() if i != source_id})
        with ExitStack() as undo:
            self._removed(source_id, undo)
            self._save_sources()
            undo.pop_all()

    def _choose(self, thresholds: KeptInstances) -> None:
        asked = thresholds.model_dump(exclude_none=True)
        if "classes" in asked:
            asked["classes"] = asked["classes"] or None
        with ExitStack() as undo:
            self._chosen(asked, undo)
            self._file.write({(key,): value for key, value in asked.items()})
            undo.pop_all()

    def _rule(self, kind: str, name: str, rule: dict[str, Any] | None) -> None:
        """Set a rule, or take it out. What cannot be written is undone."""
        events = self._job.config.events
        every = events.model_dump() if events else {one: {} for one in RULE_KINDS}
        if kind not in RULE_KINDS:
            raise UnknownRule(f"{kind}/{name}", [f"{one}/NAME" for one in RULE_KINDS])
        if rule is not None:
            every[kind][name] = rule
        elif every[kind].pop(name, None) is None:
            raise UnknownRule(name, every[kind])
        with ExitStack() as undo:
            self._chosen({"events": every}, undo)
            set_to = getattr(self._job.config.events, kind).get(name)
            self._file.write({("events", kind, name): _plain(set_to) if set_to else None})
            undo.pop_all()

    def _follow(self, wanted: RunConfig) -> None:
        """Become what the edited file says. Raises ConfigError, and nothing has changed."""
        config = self._job.config
        fixed = [key for key in RunConfig.model_fields if key not in _CHANGEABLE]
        for key in fixed:
            if getattr(wanted, key) != getattr(config, key):
                raise ConfigError(f"{key} cannot change while it runs; restart to use it")
        with ExitStack() as undo:
            # First what is refused at once: a mistake in a rule must not cost a camera its connection.
            chosen = {key: getattr(wanted, key) for key in _CHANGEABLE[1:]}
            self._chosen(chosen, undo, source_ids(wanted.sources))
            left = list(wanted.sources)
            gone = [i for i, stream in self._job.streams.items() if not _taken(stream.spec, left)]
            for spec in left:
                self._added(spec, undo)
            for source_id in gone:
                self._removed(source_id, undo)
            undo.pop_all()

    # -- steps, each with its way back -------------------------------------------------------------

    def _added(self, spec: str, undo: ExitStack, source_id: str | None = None) -> str:
        job = self._job
        if source_id is None:
            source_id = source_id_beside(spec, job.streams)
        ids, specs = [*job.streams, source_id], [*self._specs(), spec]
        check_outputs(job.config.output, ids, [*specs, job.config.engine.path])
        if not is_live(spec):
            # Refused at once, not as a failure of the run; a camera may be off and is waited for.
            open_source(spec, source_id).close()
        own = own_sinks(job.config.output, source_id, 2, has_alpha=job.config.overlay.has_alpha)
        job.add_source(source_id, spec, own)
        undo.callback(job.remove_source, source_id)
        return source_id

    def _removed(self, source_id: str, undo: ExitStack) -> None:
        spec = self._spec_of(source_id)
        self._job.remove_source(source_id)
        undo.callback(lambda: self._added(spec, ExitStack(), source_id))

    def _spec_of(self, source_id: str) -> str:
        stream = self._job.streams.get(source_id)
        if stream is None:
            raise UnknownSource(source_id, self._job.streams)
        return stream.spec

    def _chosen(self, values: dict[str, Any], undo: ExitStack, known: Sequence[str] = ()) -> None:
        """`known`: the ids that rules may name; those of the run when left out."""
        before = self._job.config
        config = checked(RunConfig, {**before.model_dump(), **values})
        if config.events and config.events != before.events:
            check_sources(config.events, list(known or self._job.streams))
        self._job.choose(config)
        undo.callback(self._job.choose, before)

    def _check_rules(self, specs: Mapping[str, str]) -> None:
        """Raise ConfigError where the file, with these sources in it, would be refused at the next start."""
        events = self._job.config.events
        if events and self._file.path:
            check_sources(events, source_ids(list(specs.values())))

    def _save_sources(self) -> None:
        self._file.write({("sources",): self._specs()})


def _plain(section: Section) -> dict[str, Any]:
    """What of it differs from the defaults, as JSON has it."""
    return section.model_dump(mode="json", exclude_defaults=True)


def _taken(spec: str, left: list[str]) -> bool:
    """Take `spec` out of what is `left`, if it is there."""
    if spec not in left:
        return False
    left.remove(spec)
    return True
