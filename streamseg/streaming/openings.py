"""The sources of a run: opened by their threads, known to everyone. Tested in tests/streaming/test_job.py."""

from __future__ import annotations

from streamseg.capture.open import open_source
from streamseg.capture.source import Source
from streamseg.errors import SourceError
from streamseg.pipeline.pipeline import Pipeline
from streamseg.source_state import SourceState
from streamseg.streaming.config import RunConfig
from streamseg.streaming.limited import Limited
from streamseg.streaming.recording import Recording
from streamseg.streaming.stream import options_of

__all__ = ["Openings"]


class Openings:
    """What is open, and how many frames of it are wanted."""

    def __init__(self, recording: Recording | None, *, waits: bool) -> None:
        """`waits`: for what is off when it begins."""
        self.sources: dict[str, Source] = {}
        self._limits: dict[str, Limited] = {}
        self._recording, self._waits = recording, waits

    def open(self, source_id: str, spec: str, config: RunConfig, *, drops: bool) -> Source | Limited:
        """Open `spec`; called by the source's thread. Raises SourceError."""
        options = options_of(config.capture.of(source_id), waits=self._waits)
        options = self._recording.options(source_id, options) if self._recording else options
        source = self.sources[source_id] = open_source(spec, source_id, options)
        if not config.max_frames:
            return source
        limited = self._limits[source_id] = Limited(source, config.max_frames, drops=drops)
        return limited

    def forget(self, source_id: str) -> None:
        """It was removed."""
        self.sources.pop(source_id, None)
        self._limits.pop(source_id, None)

    def admit(self, source_id: str) -> bool:
        """Whether a frame more of it is wanted."""
        return source_id not in self._limits or self._limits[source_id].admit()

    def state_of(self, source_id: str, pipeline: Pipeline, began_ns: int) -> SourceState:
        """How a source is doing in `pipeline`, which began at `began_ns`."""
        source = self.sources.get(source_id)
        state = source.state if source else SourceState("connecting", since_ns=began_ns)
        ended_ns = pipeline.ended_ns(source_id) if source_id in pipeline else None
        if ended_ns is None:
            return state
        part = f"source {source_id!r}"
        error = next((failure.error for failure in pipeline.failures if failure.part == part), None)
        reason = error.reason if isinstance(error, SourceError) else None
        return SourceState("ended", reason, str(error or ""), ended_ns, state.reconnects)
