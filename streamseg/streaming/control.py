"""Changes to a run that goes on, one after the other: from the API and from its edited file.

Tested in tests/serving/test_config_file.py.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, TypeVar

from pydantic import ValidationError

from streamseg.addresses import source_id_beside
from streamseg.capture.open import is_live, open_source
from streamseg.errors import ConfigError, StreamsegError, UnknownSource
from streamseg.pipeline.side_thread import SideThread
from streamseg.serving.admission import admitted, with_kept_secret
from streamseg.serving.contract import KeptInstances, RunStatus
from streamseg.streaming.config import RunConfig
from streamseg.streaming.config_file import ConfigFile
from streamseg.streaming.job import Job
from streamseg.streaming.outputs import check_outputs, own_sinks
from streamseg.streaming.status import status_of

__all__ = ["Control"]

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
"""How often to look whether the file was edited."""
_CHANGEABLE = ("sources", "score", "double_iou", "classes")

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

    def set_thresholds(self, thresholds: KeptInstances) -> Future[None]:
        return self._ordered(lambda: self._choose(thresholds))

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
        return [stream.spec for stream in self._job.streams.values()]

    def _add(self, spec: str) -> str:
        with ExitStack() as undo:
            source_id = self._added(spec, undo)
            self._save(undo, sources=self._specs())
            undo.pop_all()
        return source_id

    def _change(self, source_id: str, spec: str) -> None:
        old = self._spec_of(source_id)
        wanted = with_kept_secret(spec.strip(), old)
        if wanted == old:
            return
        wanted = self._admitted(wanted)
        with ExitStack() as undo:
            order = list(self._job.streams)
            self._removed(source_id, undo)
            self._added(wanted, undo, source_id)
            self._job.arrange(order)
            self._save(undo, sources=self._specs())
            undo.pop_all()

    def _remove(self, source_id: str) -> None:
        with ExitStack() as undo:
            self._removed(source_id, undo)
            self._save(undo, sources=self._specs())
            undo.pop_all()

    def _choose(self, thresholds: KeptInstances) -> None:
        asked = thresholds.model_dump(exclude_none=True)
        if "classes" in asked:
            asked["classes"] = asked["classes"] or None
        with ExitStack() as undo:
            self._chosen(asked, undo)
            self._save(undo, **asked)
            undo.pop_all()

    def _follow(self, wanted: RunConfig) -> None:
        """Become what the edited file says. Raises ConfigError, and nothing has changed."""
        config = self._job.config
        fixed = [key for key in RunConfig.model_fields if key not in _CHANGEABLE]
        for key in fixed:
            if getattr(wanted, key) != getattr(config, key):
                raise ConfigError(f"{key} cannot change while it runs; restart to use it")
        with ExitStack() as undo:
            left = list(wanted.sources)
            gone = [i for i, stream in self._job.streams.items() if not _taken(stream.spec, left)]
            for spec in left:
                self._added(spec, undo)
            for source_id in gone:
                self._removed(source_id, undo)
            self._chosen({key: getattr(wanted, key) for key in _CHANGEABLE[1:]}, undo)
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

    def _chosen(self, values: dict[str, Any], undo: ExitStack) -> None:
        before = self._job.config
        self._job.choose(_changed(before, values))
        undo.callback(self._job.choose, before)

    def _save(self, undo: ExitStack, **values: Any) -> None:
        """Write what has changed; a file that cannot be written undoes it all."""
        self._file.write(_changed(self._job.config, values), list(values))


def _changed(config: RunConfig, values: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig.model_validate({**config.model_dump(), **values})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{first['loc'][0]}: {first['msg']}") from None


def _taken(spec: str, left: list[str]) -> bool:
    """Take `spec` out of what is `left`, if it is there."""
    if spec not in left:
        return False
    left.remove(spec)
    return True
